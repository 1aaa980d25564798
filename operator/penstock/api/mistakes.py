"""What is wrong with a file of settings, in sentences that say where and what to write."""

import difflib
from collections.abc import Hashable, Iterator
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_WORDS = {
    r"^/": "a path that starts with /",
    r"^[^:]+$": "a name without a colon",
    r"^[0-9A-Fa-f.:]+$": "an address, such as 127.0.0.1 or ::",
    r"^[A-Za-z0-9-]+$": "the name of a header, such as X-Scope-OrgID",
    r"^[\x21-\x7e]+( +[\x21-\x7e]+)*$": "printable characters",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "a name of lower-case letters, digits and hyphens",
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": "a name of lower-case letters, digits, hyphens and dots",
}


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice: plain YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return the mapping of a node."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                name = key.value if isinstance(key, yaml.ScalarNode) else "a key"
                problem = f"{name} stands twice or is no name"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse(text: str) -> Any:
    """Return what a YAML text stands for.

    Raises:
        ValueError: It is not YAML, or a key stands twice.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise _not_yaml(error) from error


def parse_all(text: str) -> list[Any]:
    """Return what the documents of a YAML text stand for, without empty ones.

    Raises:
        ValueError: It is not YAML, or a key stands twice; the message has the line in the text.
    """
    try:
        return [one for one in yaml.load_all(text, Loader=_UniqueKeys) if one is not None]
    except yaml.YAMLError as error:
        raise _not_yaml(error) from error


def _not_yaml(error: yaml.YAMLError) -> ValueError:
    return ValueError(f"the file is not YAML: {' '.join(str(error).split())}")


def sentences(model: type[BaseModel], error: ValidationError, path: str = "") -> tuple[str, ...]:
    """Return one sentence per mistake; a list is not too short because its entries are wrong.

    Args:
        model: What was read.
        error: What is wrong with it.
        path: What stands before each name, such as `spec.` where the model is not a whole file.
    """
    errors = error.errors()
    locs = [one["loc"] for one in errors]
    parents = {loc[:depth] for loc in locs for depth in range(len(loc))}
    return tuple(
        _sentence(model, one, path)
        for one in errors
        if one["type"] != "too_short" or one["loc"] not in parents
    )


def unknown(model: type[BaseModel], content: Any, path: str = "") -> tuple[str, ...]:
    """Return one sentence per field that a model, which ignores them, does not have.

    Entries of lists and maps are looked into too, each with its name: `steps.0.bakee`.
    """
    if not isinstance(content, dict):
        return ()
    known, found = _fields(model), []
    for key, value in content.items():
        name = f"{path}{key}"
        if key not in known:
            found.append(f"{name} is not a field{_suggestion(model, [str(key)])}")
        elif (inner := _inner(known[key])) is not None:
            for below, entry in _entries(value, name, _is_map(known[key])):
                found += unknown(inner, entry, f"{below}.")
    return tuple(found)


def _entries(value: Any, name: str, is_map: bool) -> Iterator[tuple[str, Any]]:
    """Yield what a field holds with its name: the entries of a list or map, else the value."""
    if is_map:
        entries = value.items() if isinstance(value, dict) else ()
        yield from ((f"{name}.{key}", entry) for key, entry in entries)
    elif isinstance(value, list):
        yield from ((f"{name}.{index}", entry) for index, entry in enumerate(value))
    else:
        yield name, value


def _sentence(model: type[BaseModel], error: ErrorDetails, path: str) -> str:
    keys = [str(key) for key in error["loc"]]
    if not keys:
        return f"{path or 'the file: '}{_advice(error)}"
    name = path + ".".join(key for key in keys if key != "[key]")
    if error["type"] == "missing":
        return f"{name} is missing"
    if error["type"] in ("extra_forbidden", "invalid_key"):
        return f"{name} is not a field{_suggestion(model, keys)}"
    return f"{name}: {_advice(error)}"


def _advice(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return f"write {_WORDS.get(context['pattern'], context['pattern'])}"
        case "literal_error" | "enum":
            return f"write {context['expected']}"
        case "too_short":
            return "write at least one"
        case "model_type" | "dict_type":
            return f"write fields below it, not {error['input']!r}"
        case _:
            return f"it {error['msg'].removeprefix('Input ')}"


def _suggestion(model: type[BaseModel], keys: list[str]) -> str:
    names = _fields(_below(model, keys[:-1]))
    close = difflib.get_close_matches(keys[-1], names, 1, 0.5)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(names))}"


def _below(model: type[BaseModel], keys: list[str]) -> type[BaseModel]:
    for key in keys:
        inner = _inner(_fields(model).get(key))
        model = inner if inner is not None else model
    return model


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    fields = model.model_fields.items()
    return {field.alias or name: field.annotation for name, field in fields}


def _is_map(annotation: Any) -> bool:
    """Return whether a field holds models by names of the user's."""
    return get_origin(annotation) is dict or any(map(_is_map, get_args(annotation)))


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_inner(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)
