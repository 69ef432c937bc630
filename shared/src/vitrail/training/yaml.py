"""YAML 1.2's plain values, read strictly and written so that they read back: no tags, no aliases,
no doubled keys."""

import re
from typing import Any, ClassVar

import yaml

from vitrail.errors import UsageError

MAX_BYTES = 100_000
MAX_DEPTH = 20

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", lambda text: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", lambda text: text[0] in "tT"),
    "int": (r"[-+]?[0-9]{1,18}", int),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
}


class _Composer(yaml.SafeLoader):
    """Builds the tree of nodes, and stops at the first thing that a recipe has no use for."""

    yaml_implicit_resolvers: ClassVar[dict] = {}
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        refusal = None
        if isinstance(event, yaml.AliasEvent):
            refusal = "aliases are not taken, write the value out"
        elif event.tag is not None:
            refusal = "tags are not taken, leave it out"
        elif self.depth == MAX_DEPTH:
            refusal = f"nested deeper than {MAX_DEPTH}"
        if refusal:
            raise yaml.MarkedYAMLError(problem=refusal, problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Puts strings in quotes where YAML 1.1 or 1.2 would read something else."""


for _name, (_pattern, _) in _SCALARS.items():
    for _class in (_Composer, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), None)


def read_yaml(content: bytes, source: str) -> Any:
    """Dicts with string keys, lists, strings, whole numbers, floats, flags and None out of one YAML
    document.

    ``source`` names the content in a UsageError. Words such as ``yes`` and dates stay strings, as
    in YAML 1.2.
    """
    if len(content) > MAX_BYTES:
        raise UsageError(source, f"is larger than {MAX_BYTES // 1000} kB")
    try:
        node = _Composer(content.decode("utf-8-sig")).get_single_node()
    except UnicodeDecodeError:
        raise UsageError(source, "is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UsageError(source, f"{line}{error.problem}") from None
    except yaml.YAMLError:
        raise UsageError(source, "holds characters that YAML does not allow") from None
    return _plain(node, source, "")


def write_yaml(content: Any) -> str:
    """Plain values as YAML text, in their own order; ``read_yaml`` gives them back."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _plain(node: yaml.Node | None, source: str, at: str) -> Any:
    if node is None:
        return None
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(item, source, f"{at}.{index}".lstrip("."))
            for index, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.ScalarNode):
        name = node.tag.removeprefix(_TAG)
        return _SCALARS[name][1](node.value) if name in _SCALARS else node.value
    result = {}
    for key, value in node.value:
        here = f"{at}.{key.value}".lstrip(".")
        if not isinstance(key, yaml.ScalarNode):
            raise UsageError(source, f"line {key.start_mark.line + 1}: a key must be a word")
        if key.value in result:
            raise UsageError(
                f"{source}: {here}", "this key stands twice", f"see line {key.start_mark.line + 1}"
            )
        result[key.value] = _plain(value, source, here)
    return result
