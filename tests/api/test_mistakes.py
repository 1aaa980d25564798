from enum import StrEnum
from typing import Annotated

import pytest
from pydantic import Field, ValidationError, model_validator

from penstock.api import mistakes
from penstock.api.fields import ApiModel


class Colour(StrEnum):
    RED = "Red"
    BLUE = "Blue"


class Wheel(ApiModel):
    spokes: int = 0
    colour: Colour = Colour.RED


class Cart(ApiModel):
    front_wheel: Wheel | None = None
    wheels: Annotated[tuple[Wheel, ...], Field(min_length=1)] | None = None
    labels: dict[str, str] | None = None
    spares: dict[str, Wheel] | None = None

    @model_validator(mode="after")
    def _even(self):
        if len(self.wheels or ()) % 2:
            raise ValueError("wheels come in pairs")
        return self


def told(content, path=""):
    with pytest.raises(ValidationError) as caught:
        Cart.model_validate(content)
    return mistakes.sentences(Cart, caught.value, path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"frontWheel": {"spokes": 1}, "wheels": [], "labels": {"any": "name"}}, ()),
        ({"frontWeel": 1}, ("frontWeel is not a field; did you mean frontWheel?",)),
        ({"frontWheel": {"spokess": 1}}, ("frontWheel.spokess is not a field; did you",)),
        (
            {"wheels": [{"spokes": 1}, {"spoke": 1}, 5, None, {"zzz": 1}], "x": 0},
            (
                "wheels.1.spoke is not a field; did you mean spokes?",
                "wheels.4.zzz is not a field; there are colour, spokes",
                "x is not a field; there are frontWheel, labels, spares, wheels",
            ),
        ),
        ({"spares": {"any": {"spokes": 1}, "old": {"spoke": 1}}}, ("spares.old.spoke is not a",)),
        ({"spares": "many"}, ()),
        ({"wheels": "four", "frontWheel": None}, ()),
        (["frontWeel"], ()),
        ({7: 1}, ("7 is not a field",)),
    ],
)
def test_unknown_fields_are_named_where_they_are_in_lists_too(content, found):
    said = mistakes.unknown(Cart, content)
    assert len(said) == len(found)
    assert all(one.startswith(begin) for one, begin in zip(said, found, strict=True))


def test_a_path_stands_before_every_name():
    assert mistakes.unknown(Cart, {"wheels": [{"x": 1}]}, "spec.")[0].startswith("spec.wheels.0.x ")
    assert told({"wheels": [{"spokes": "many"}, {"colour": "Green"}]}, "spec.") == (
        "spec.wheels.0.spokes: it should be a valid integer, unable to parse string as an integer",
        "spec.wheels.1.colour: write 'Red' or 'Blue'",
    )


def test_a_mistake_of_the_whole_is_one_of_the_file_or_of_the_path():
    assert told({"wheels": [{}]}) == ("the file: wheels come in pairs",)
    assert told({"wheels": [{}]}, "spec.") == ("spec.wheels come in pairs",)


def test_documents_are_read_without_the_empty_ones():
    assert mistakes.parse_all("# nothing\n---\na: 1\n---\n---\n- 2\n...\n") == [{"a": 1}, [2]]
    assert mistakes.parse_all("") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n---\nb: 1\nb: 2\n", "b stands twice or is no name in .*, line 4, column 1"),
        ("a: 1\n---\nb: [\n", "the file is not YAML: .*, line 4, column 1"),
        ("a: 1\n---\n? [x]\n: 2\n", "a key stands twice or is no name in .*, line 3, column 3"),
        ("a: !!python/object:os.system 1\n", "could not determine a constructor"),
    ],
)
def test_a_document_that_cannot_be_read_is_named_by_its_line_in_the_file(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        mistakes.parse_all(text)
    assert "\n" not in str(caught.value)


def test_one_document_stays_one():
    assert mistakes.parse("a: 1") == {"a": 1}
    with pytest.raises(ValueError, match="expected a single document"):
        mistakes.parse("a: 1\n---\nb: 1\n")
