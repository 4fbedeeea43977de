"""Refuses what would let a small template and small data make a huge text, or reach beyond its field.

The engine's fuel bounds the number of steps, not what one step makes: `'x' * 10**8` is three steps. So templates
use a small language: if, for, set and raw, expressions and filters. Every expression is given a weight, about how
many times it can repeat its data, and the weights of a field have a limit.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

MAX_WEIGHT: Final = 2_000
MAX_COUNT: Final = 1_000
"""The largest number that a range, a repetition, or an argument may be."""

STATEMENTS: Final = frozenset({"if", "elif", "else", "endif", "for", "endfor", "set", "raw", "endraw"})
_LITERAL_ARGUMENTS: Final = frozenset({"range", "indent", "batch", "slice", "round", "replace", "join"})
"""Where an argument from the data would decide how much is made."""
_GROWTH: Final = {"tojson": 6, "escape": 6, "e": 6, "urlencode": 3, "pprint": 4, "wordwrap": 2}
"""How much longer a filter can make its text by escaping it."""
_WORDS: Final = frozenset(
    {"and", "or", "not", "in", "is", "if", "else", "for", "true", "false", "none", "True", "False", "None"}
)
_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<number>0[xXoObB][0-9a-fA-F_]+|\d[\d_]*(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)?)
    | (?P<name>[^\W\d]\w*)
    | (?P<end>[-+]?(?:\}\}|%\}))
    | (?P<sign>\*\*|//|==|!=|<=|>=|[-+*/%~|().,:\[\]<>=])
    )""",
    re.VERBOSE | re.DOTALL,
)
_OPENING: Final = re.compile(r"\{\{|\{%|\{#")
_END_OF_RAW: Final = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")


class Token(msgspec.Struct, frozen=True, gc=False):
    """One word of an expression."""

    kind: Literal["string", "number", "name", "sign"]
    text: str


class Refused(Exception):
    """A template uses what it may not: why, and in which line of its source."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


def lint(source: str) -> None:
    """Raise Refused where `source` uses what templates may not use."""
    weights: dict[str, int] = {}
    loops: list[int] = []
    total = 0
    for tokens, is_statement, line in _tags(source):
        try:
            total += _tag(tokens, is_statement, weights, loops)
        except ValueError as error:
            raise Refused(str(error), line) from error
        if total > MAX_WEIGHT:
            raise Refused(f"it can repeat its data more than {MAX_WEIGHT} times", line)


def _tags(source: str) -> Iterator[tuple[list[Token], bool, int]]:
    """Each tag's tokens, whether it is a statement, and its line."""
    at = 0
    while found := _OPENING.search(source, at):
        at = found.end()
        line = source.count("\n", 0, at) + 1
        if found.group() == "{#":
            at = source.find("#}", at) + 2
            if at < 2:
                return
            continue
        at += source[at : at + 1] in ("-", "+")
        tokens, at = _tokens(source, at, line)
        yield tokens, found.group() == "{%", line
        if [token.text for token in tokens] == ["raw"]:
            end = _END_OF_RAW.search(source, at)
            at = end.end() if end else len(source)


def _tokens(source: str, at: int, line: int) -> tuple[list[Token], int]:
    tokens: list[Token] = []
    while found := _TOKEN.match(source, at):
        at = found.end()
        kind = found.lastgroup
        if kind == "end":
            return tokens, at
        tokens.append(Token(kind, found.group(kind)))  # type: ignore[arg-type]  # the pattern's groups are these words
    rest = source[at : at + 10].split("\n", maxsplit=1)[0].strip()
    raise Refused(f"{rest!r} is not understood here" if rest else "a tag has no end", line)


def _tag(tokens: list[Token], is_statement: bool, weights: dict[str, int], loops: list[int]) -> int:
    """The weight of one tag; keeps the weights of the names that it sets, and the loops that are open."""
    repeats = 1
    for times in loops:
        repeats *= times
    word = tokens[0].text if tokens else ""
    if not is_statement:
        return _weight(tokens, weights) * repeats
    if word not in STATEMENTS:
        raise ValueError(f"{{% {word} %}} is not among the statements of a template: if, for, set, raw")
    match word:
        case "for":
            names, of = _split(tokens[1:], "in")
            loops.append(_times(of))
            _keep(weights, names, _weight(of, weights))
        case "endfor" if loops:
            loops.pop()
        case "set":
            names, of = _split(tokens[1:], "=")
            _keep(weights, names, _weight(of, weights))
        case _:
            _weight(tokens[1:], weights)
    return 0


def _keep(weights: dict[str, int], names: list[str], weight: int) -> None:
    """A name that is set in several places has the largest weight of them, since any of them may have run."""
    for name in names:
        weights[name] = max(weight, weights.get(name, 1))


def _split(tokens: list[Token], by: str) -> tuple[list[str], list[Token]]:
    """The names before, and the tokens after, the first `by`."""
    for i, token in enumerate(tokens):
        if token.text == by and token.kind != "string":
            if any(before.text == "." for before in tokens[:i]):
                raise ValueError("a set within a namespace is not allowed; send what is summed up in the data")
            return [before.text for before in tokens[:i] if before.kind == "name"], tokens[i + 1 :]
    raise ValueError(f"a block of this kind needs {by!r}: write it in one tag")


def _times(tokens: list[Token]) -> int:
    """How often a loop over literal numbers runs; loops over data are bounded by the data."""
    for i, token in enumerate(tokens):
        if token.text == "range" and token.kind == "name":
            return max((_count(arg.text) for arg in _arguments(tokens, i + 1) if arg.kind == "number"), default=1)
    return 1


def _weight(tokens: list[Token], weights: dict[str, int]) -> int:
    """About how many times an expression repeats its data. Raises ValueError for what it may not use."""
    size, growth = 0, 1
    used: set[int] = set()
    for i, token in enumerate(tokens):
        before = tokens[i - 1].text if i else ""
        after = tokens[i + 1].text if i + 1 < len(tokens) else ""
        match token.kind:
            case "string":
                size += 1
            case "sign" if token.text in ("*", "**"):
                growth *= _repetition(tokens, i, used)
            case "name" if before == "|":
                growth *= _filter(tokens, i)
            case "name" if after == "(" and before not in (".", "is") and not _is_test(tokens, i):
                if token.text == "range":
                    growth *= _literal_arguments(tokens, i)
                elif token.text not in _WORDS:
                    raise ValueError(f"{token.text}() is not a function that templates may call; there is only range()")
            case "name" if token.text == "recursive":
                raise ValueError("a loop may not be recursive")
            case "name" if before != "." and token.text not in _WORDS:
                size += weights.get(token.text, 1)
            case _:
                pass
    return max(1, size) * growth


def _is_test(tokens: list[Token], i: int) -> bool:
    return i >= 2 and tokens[i - 1].text == "not" and tokens[i - 2].text == "is"


def _repetition(tokens: list[Token], i: int, used: set[int]) -> int:
    """The times of a `*`: one side must be a plain number of its own, since a text can be multiplied too."""
    if tokens[i].text == "*":
        for side in (i + 1, i - 1):
            if 0 <= side < len(tokens) and side not in used and _is_plain_number(tokens, side):
                used.add(side)
                return 1 if "." in tokens[side].text else _count(tokens[side].text)
    raise ValueError("a product needs a plain number on one side; send other products in the data")


def _is_plain_number(tokens: list[Token], i: int) -> bool:
    before = tokens[i - 1].text if i else ""
    after = tokens[i + 1].text if i + 1 < len(tokens) else ""
    return tokens[i].kind == "number" and before != "." and after not in ("|", ".", "[", "(", "**")


def _filter(tokens: list[Token], i: int) -> int:
    name = tokens[i].text
    if name == "format":
        raise ValueError("the filter format is not allowed: a width could make any length; use ~ and round")
    if name == "map":
        if not any(token.text == "attribute" for token in _arguments(tokens, i + 1)[:1]):
            raise ValueError("the filter map takes attribute= only")
        return 1
    if name in _LITERAL_ARGUMENTS:
        return _literal_arguments(tokens, i)
    return _GROWTH.get(name, 1)


def _literal_arguments(tokens: list[Token], i: int) -> int:
    """The largest argument, by number or by length of text; all must be written out."""
    name, largest = tokens[i].text, 1
    arguments = _arguments(tokens, i + 1)
    for n, token in enumerate(arguments):
        is_keyword = n + 1 < len(arguments) and arguments[n + 1].text == "="
        match token.kind:
            case "number":
                largest = max(largest, 1 if "." in token.text else _count(token.text))
            case "string":
                largest = max(largest, len(token.text) - 2)
            case "name" if not is_keyword and token.text not in _WORDS:
                raise ValueError(f"the arguments of {name} must be written out, not taken from the data")
            case "sign" if token.text not in (",", "=", "-"):
                raise ValueError(f"the arguments of {name} must be plain numbers or texts")
            case _:
                pass
    return 1 if name == "round" else largest


def _arguments(tokens: list[Token], opening: int) -> list[Token]:
    if opening >= len(tokens) or tokens[opening].text != "(":
        return []
    depth = 0
    for i in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[i].text, 0) if tokens[i].kind == "sign" else 0
        if depth == 0:
            return tokens[opening + 1 : i]
    return tokens[opening + 1 :]


def _count(text: str) -> int:
    try:
        count = int(text, 0)
    except ValueError:
        count = MAX_COUNT + 1
    if count > MAX_COUNT:
        raise ValueError(f"{text} is more than {MAX_COUNT}, the largest count of a template")
    return count
