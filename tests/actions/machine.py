"""A machine with a Node.js and an npm that are ours."""

import sys
from dataclasses import dataclass
from pathlib import Path

WRITTEN = Path(__file__).parent / "definitions.json"
NODE = """\
#!{python}
import pathlib, shutil, sys
if sys.argv[1] == "--version":
    print({version!r})
else:
    assert pathlib.Path(sys.argv[2], "node_modules", "kept.js").exists()
    shutil.copy({written!r}, sys.argv[3])
"""
NPM = """\
#!{python}
import pathlib, sys
pathlib.Path({said!r}).write_text(" ".join(sys.argv[1:]))
assert pathlib.Path("package-lock.json").exists()
modules = pathlib.Path("node_modules")
for name in ("kept.js", "a/LICENSE.md", *{pruned!r}):
    file = modules / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(name)
print("what npm says")
sys.exit({code})
"""
PRUNED = (
    ".package-lock.json",
    "a/README.md",
    "a/index.d.ts",
    "a/index.js.map",
    "a/index.mjs",
    "a/esm/index.js",
    "a/__tests__/a.js",
)


@dataclass(slots=True)
class Machine:
    """Programs in the only folder of PATH."""

    bin: Path
    said: Path

    def write(self, name: str, text: str) -> Path:
        file = self.bin / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    def node(self, version: str = "v20.1.0") -> Path:
        text = NODE.format(python=sys.executable, version=version, written=str(WRITTEN))
        return self.write("node", text)

    def npm(self, code: int = 0) -> Path:
        said = str(self.said)
        text = NPM.format(python=sys.executable, said=said, pruned=PRUNED, code=code)
        return self.write("npm", text)
