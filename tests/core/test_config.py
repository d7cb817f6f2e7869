"""Configurations of every form become one form."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import MISSING, DictConfig, OmegaConf

from seaspeak.core.config import as_config, key_path, merge, read_yaml, to_config
from seaspeak.core.errors import ConfigError, FileMissingError

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.floats(allow_nan=False)
    | st.text("abc xyz.-:#'\"", max_size=8)
)
keys = st.text("abcdefg_", min_size=1, max_size=6).filter(lambda key: key not in ("cls", "params"))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=20
)
sections = st.dictionaries(keys, values, max_size=5)


def old_style(value):
    """The same configuration as NeMo's releases before 1.0 wrote it."""
    if not isinstance(value, dict):
        return value
    if "_target_" not in value:
        return {key: old_style(item) for key, item in value.items()}
    return {"cls": value["_target_"], "params": {k: old_style(v) for k, v in value.items() if k != "_target_"}}


with_targets = st.recursive(
    scalars,
    lambda inner: (
        st.dictionaries(keys, inner, max_size=3)
        | st.builds(
            lambda name, rest: {"_target_": name, **rest}, st.just("a.B"), st.dictionaries(keys, inner, max_size=3)
        )
    ),
    max_leaves=12,
)


@dataclass
class Inner:
    width: int = 3


@dataclass
class Outer:
    name: str = MISSING
    inner: Inner = field(default_factory=Inner)


def test_a_dictionary_a_dataclass_and_a_file_are_configurations(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("name: x\ninner: {width: 3}\n")
    expected = {"name": "x", "inner": {"width": 3}}
    for source in (expected, OmegaConf.create(expected), Outer(name="x"), path, str(path)):
        config = to_config(source)
        assert isinstance(config, DictConfig)
        assert config == expected
        config.new_key = 1
    assert OmegaConf.is_missing(to_config(Outer), "name")


def test_the_result_is_a_resolved_copy():
    source = OmegaConf.create({"a": 1, "b": "${a}"})
    config = to_config(source)
    config.a = 2
    assert (config.b, source.a) == (1, 1)


def test_an_interpolation_that_leads_nowhere_is_an_error():
    with pytest.raises(ConfigError, match="cannot be resolved"):
        to_config({"b": "${nowhere}"})


@given(sections)
def test_a_configuration_in_todays_form_stays_as_it_is(section):
    assert to_config(section) == section
    assert to_config(to_config(section)) == section


@given(st.dictionaries(keys, with_targets, max_size=4))
def test_old_and_new_form_mean_the_same(section):
    assert to_config(old_style(section)) == section


def test_todays_key_wins_over_the_old_one():
    assert to_config({"cls": "a", "_target_": "b"}) == {"cls": "a", "_target_": "b"}
    assert to_config({"_target_": "b", "params": 3}) == {"_target_": "b", "params": 3}


def test_a_section_in_todays_form_keeps_its_place_in_the_whole():
    config = OmegaConf.create({"a": {"b": {"_target_": "x"}, "old": {"cls": "y"}}})
    assert as_config(config.a.b) is config.a.b
    assert key_path(as_config(config.a.b), "c") == "a.b.c"
    assert as_config(config.a.old) == {"_target_": "y"}


def test_merging_lays_one_over_the_other():
    assert merge(OmegaConf.create({"a": {"x": 1, "y": [1, 2]}}), {"a": {"y": [3]}}) == {"a": {"x": 1, "y": [3]}}


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        (3, ConfigError, "not a configuration"),
        ({"a": object()}, ConfigError, "YAML cannot"),
        ("/none/at/all.yaml", FileMissingError, "no configuration file"),
        ("/", ConfigError, "cannot be read"),
    ],
)
def test_what_is_no_configuration(source, error, match):
    with pytest.raises(error, match=match):
        to_config(source)


@given(sections)
def test_our_reader_of_yaml_agrees_with_omegaconfs(section):
    text = OmegaConf.to_yaml(OmegaConf.create(section))
    assert read_yaml(text, name="x") == OmegaConf.create(text) == section


TEXTS = [
    "1e-3",
    "1.5",
    "+.5e-2",
    "1_000",
    "1_0.5",
    "0x1F",
    "017",
    "-.inf",
    ".nan",
    "1:30",
    "2020-01-01",
    "yes",
    "No",
    "~",
    "1e3x",
    ".",
    "+",
    "e5",
    "1.e5",
    "12e+03",
    "1:30.5",
    ".5e+3",
    ".5e3",
    "0b11",
    "0o7",
    "1__0",
    "._5",
]


@pytest.mark.parametrize("text", TEXTS)
def test_scalars_are_read_as_omegaconf_reads_them(text):
    ours, theirs = read_yaml(f"a: {text}", name="x")["a"], OmegaConf.create(f"a: {text}").a
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


def test_archives_of_nemo_are_read_as_omegaconf_reads_them(shared):
    from seaspeak.core.archive import Archive

    for path in sorted(shared.glob("fixtures/*/*/*.nemo")):
        with Archive.open(path) as archive:
            text = archive.read("model_config.yaml").decode()
        assert read_yaml(text, name="x") == OmegaConf.create(text)


def test_anchors_and_merge_keys_work():
    config = read_yaml("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\n", name="x")
    assert config == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}}
