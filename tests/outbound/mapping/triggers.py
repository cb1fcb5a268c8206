"""Triggers of chance, in the grammar that Segment's evaluator reads as it is meant."""

import re

from hypothesis import strategies as st

from gateway.event import PIPELINE_TYPES
from tests.outbound.mapping.happenings import keys, texts


def _escaped(key: str) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else f"\\{c}" for c in key)
    return f"\\{plain}" if plain[0].isdigit() or plain in {"and", "or"} else plain


def _in_quotes(text: str) -> str:
    return '"{}"'.format(text.replace('"', ""))


def _pattern(text: str) -> str:
    return text.replace("*", "")


quoted = texts.map(_in_quotes)
patterns = st.one_of(
    texts.map(lambda text: _in_quotes(f"*{_pattern(text)}")),
    texts.map(lambda text: _in_quotes(f"{_pattern(text)}*")),
)
fields = st.builds(
    lambda root, path: ".".join([root, *map(_escaped, path)]),
    st.sampled_from(["traits", "properties", "context"]),
    st.lists(keys, min_size=1, max_size=3),
)
literals = st.integers(-9, 9).map(str) | st.sampled_from(["5.5", "-.5", "+5", "0.0"])


def _line(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    """These with one space between each."""
    given = [st.just(each) if isinstance(each, str) else each for each in parts]
    return st.tuples(*given).map(" ".join)


equals = st.sampled_from(["=", "!="])
comparisons = st.one_of(
    _line("type", equals, st.sampled_from([f'"{each}"' for each in PIPELINE_TYPES])),
    _line(st.sampled_from(["event", "name", "userId"]), equals, quoted),
    _line(st.sampled_from(["name", "userId"]), equals, "null"),
    _line(fields, equals, quoted | literals | st.just("null")),
    _line(fields, st.sampled_from(["<", "<=", ">", ">="]), literals),
    _line(fields, "=", st.sampled_from(["true", "false"])),
)
asked = fields | st.sampled_from(["event", "name", "userId"])
functions = st.builds(
    "{}({}, {})".format, st.sampled_from(["contains", "!contains"]), asked, quoted
) | st.builds(
    "{}({}, {})".format, st.sampled_from(["match", "!match"]), asked, patterns
)


def _joined(parts: list[str], last: list[str], word: str) -> str:
    return f" {word} ".join([*parts, *last])


words = st.sampled_from(["and", "or"])
# Within parentheses only the last may be a function: Segment's parser ends with it.
groups = st.builds(
    lambda parts, last, word: f"({_joined(parts, last, word)})",
    st.lists(comparisons, min_size=1, max_size=2),
    st.lists(functions, max_size=1),
    words,
)
triggers = st.builds(
    lambda parts, word: _joined(parts, [], word),
    st.lists(comparisons | functions | groups, min_size=1, max_size=4),
    words,
)

PIECE = re.compile(r'"[^"]*"|[\w.\\-]+|\s+|.', re.DOTALL)
STRAY = st.sampled_from(
    [
        *("and", "or", "AND", "OR", "(", ")", "!", ",", " ", "", "=", "!=", "<", ">="),
        *("null", "true", "5", '"a"', "'a'", "type", "name", "traits.a", "track", "in"),
        *("contains", "match", '"a*"', "\\", ".", "[", "]", "5.", "-", "\n", "\r"),
    ]
)


def _changed(text: str, edits: list[tuple[int, bool, str]]) -> str:
    pieces = PIECE.findall(text)
    for place, over, piece in edits:
        at = place % (len(pieces) + 1)
        pieces[at : at + over] = [piece]
    return "".join(pieces)


edited = st.builds(
    _changed,
    triggers,
    st.lists(
        st.tuples(st.integers(0, 40), st.booleans(), STRAY), min_size=1, max_size=2
    ),
)
"""Triggers with a piece too many, too few or another: some still are triggers."""
