"""A rendered nginx configuration as blocks, so that a rule about every location can be asked of every location."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r"""\s+|\#[^\n]*|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[{};]|(?:\\.|[^\s{};"'])+)""")


@dataclass
class Block:
    """`words { … }`: simple directives by name, and the blocks inside."""

    words: list[str]
    directives: dict[str, list[list[str]]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def has(self, name: str, *words: str) -> bool:
        return any(given[: len(words)] == list(words) for given in self.directives.get(name, []))

    def all_blocks(self, name: str) -> Iterator[Block]:
        """Every block of that name, at any depth."""
        for block in self.blocks:
            if block.words[0] == name:
                yield block
            yield from block.all_blocks(name)


def parse(text: str) -> Block:
    """Read a configuration; includes stay directives."""
    root = Block(["main"])
    stack = [root]
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match[1]
        if token is None:
            continue
        if token == ";":
            stack[-1].directives.setdefault(words[0], []).append(words[1:])
            words = []
        elif token == "{":
            stack.append(Block(words))
            stack[-2].blocks.append(stack[-1])
            words = []
        elif token == "}":
            stack.pop()
        else:
            words.append(token)
    assert len(stack) == 1, "unbalanced braces"
    return root
