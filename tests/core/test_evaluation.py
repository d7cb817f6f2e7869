"""Several validation sets are found, named, and their results put together."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from seaspeak.core import evaluation
from seaspeak.core.errors import ConfigError


@pytest.fixture
def files(tmp_path):
    for name in ("dev-clean_manifest.json", "dev_other.json", "manifest.json"):
        (tmp_path / name).write_text("")
    return tmp_path


def expanded(**section):
    return [(prefix, dict(one)) for prefix, one in evaluation.expand(OmegaConf.create(section), "val")]


def test_a_single_set_has_no_prefix(files):
    path = str(files / "dev_other.json")
    assert expanded(manifest_filepath=path, batch_size=4, val_dl_idx=0) == [
        ("", {"manifest_filepath": path, "batch_size": 4})
    ]
    assert expanded(anything=1) == [("", {"anything": 1})]


def test_each_path_of_a_list_is_a_set_named_after_its_file(files):
    paths = [str(files / "dev-clean_manifest.json"), str(files / "dev_other.json")]
    for key in ("manifest_filepath", "file_names"):
        found = expanded(batch_size=4, **{key: paths})
        assert [prefix for prefix, _ in found] == ["dev_clean_", "dev_other_"]
        assert [one for _, one in found] == [{"batch_size": 4, key: path} for path in paths]


def test_manifests_that_do_not_exist_are_still_several_sets():
    assert [prefix for prefix, _ in expanded(manifest_filepath=["a.json", "b.json"])] == ["a_", "b_"]


def test_names_may_be_given(files):
    paths = [str(files / "manifest.json"), str(files / "dev_other.json")]
    assert [prefix for prefix, _ in expanded(manifest_filepath=paths, name=["x", "y_"])] == ["x_", "y_"]
    with pytest.raises(ConfigError, match="1 names for 2 sets in 'manifest_filepath'"):
        expanded(manifest_filepath=paths, name=["x"])
    with pytest.raises(ConfigError, match="leaves no prefix"):
        expanded(manifest_filepath=paths)


def test_ds_item_names_the_key_and_its_values_may_be_sections():
    found = expanded(ds_item="sets", batch_size=4, sets=[{"name": "near", "batch_size": 1}, {"path": "x"}])
    assert [prefix for prefix, _ in found] == ["near_", "val_1_"]
    assert found[0][1]["batch_size"] == 1
    assert found[1][1]["path"] == "x"


def test_numbers_are_averaged_and_the_rest_left_out():
    outputs = [{"loss": torch.tensor([1.0]), "n": 2, "text": "a", "many": torch.ones(3)}, {"loss": 3.0}, None, 5]
    assert evaluation.summarise(outputs) == {"log": {"loss": torch.tensor(2.0), "n": torch.tensor(2.0)}}


def test_results_have_prefixes_and_those_of_the_main_set_none_as_well():
    results = [{"log": {"wer": 1}}, {"log": {"wer": 2}}, {}]
    assert evaluation.prefixed(results, ["a_", "b_", "c_"], 1) == {"a_wer": 1, "b_wer": 2, "wer": 2}
    assert evaluation.prefixed(results[:1], ["a_"], 3) == {"wer": 1}


def test_the_main_set():
    assert evaluation.main_index(OmegaConf.create({"val_dl_idx": 2}), "val") == 2
    assert evaluation.main_index(OmegaConf.create({}), "test") == 0
    assert evaluation.main_index(None, "test") == 0
