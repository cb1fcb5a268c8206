"""``python -m reference``: write the pages, and say which of them changed."""

from reference import made

for file, text in made().items():
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
        print(f"written: {file.name}")
