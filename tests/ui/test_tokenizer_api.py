"""The endpoints of the tokenizer, and files of bits as pictures of all others."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from infinity.edit.files import open_picture
from infinity.edit.sources import source_of
from infinity.errors import RequestError
from infinity.hosting import Allowance, Hosting
from infinity.images import open_image
from infinity.metadata import save_png
from infinity.request import GenerationRequest
from infinity.ui.api.edit import EditEndpoints
from infinity.ui.api.history import RecentRuns
from infinity.ui.shared.runs import Runs
from tests.edit.test_sources import photo
from tests.ui.fakes import make_context
from tests.ui.test_edit_api import PIPELINE, client, folder  # noqa: F401 (fixtures)
from tests.ui.test_tokenizer_tab import ALICE, Manager


@pytest.fixture
def bits(client, folder):  # noqa: F811
    return client.predict(handle_file(folder / "apple.png"), api_name="/bits")


def test_reconstruction_has_every_scale_with_its_files(client, folder):  # noqa: F811
    found = client.predict(handle_file(folder / "photo.png"), "2:3", api_name="/reconstruct")
    rebuilt = PIPELINE.reconstruct(photo(), "2:3")
    scales = list(PIPELINE.measure(rebuilt))
    assert found["model"] == "tiny" and found["vocabulary"] == "256"
    assert open_image(found["original"]).tobytes() == rebuilt.original.tobytes()
    assert len(found["scales"]) == len(scales)
    for told, one in zip(found["scales"], scales, strict=True):
        assert open_image(told.pop("picture")).tobytes() == one.image.tobytes()
        for format, other in one.others.items():
            if other is not None:
                assert Path(told[format].pop("picture")).read_bytes() == other.data
        assert told == one.to_dict()


def test_bits_of_a_drawn_picture_are_those_it_was_drawn_with(client, folder, bits):  # noqa: F811
    expected = source_of(PIPELINE, open_image(folder / "apple.png"))
    assert source_of(PIPELINE, open_picture(Path(bits))) == expected


def test_bits_stand_for_a_picture_in_other_endpoints(client, folder, bits):  # noqa: F811
    for name, given in (
        ("/vary", {"seed": 5}),
        ("/edit", {"prompt": "snow", "box": [0.5, 0, 1, 1]}),
    ):
        pixels = [
            np.asarray(open_image(client.predict(handle_file(path), **given, api_name=name)[0]))
            for path in (folder / "apple.png", bits)
        ]
        assert np.array_equal(*pixels)
    with pytest.raises(AppError, match="'1:1', not '3:2'"):
        client.predict(handle_file(folder / "photo.png"), handle_file(bits), 1, api_name="/mix")


def test_record_beyond_the_hosts_limits_draws_nothing(tmp_path, monkeypatch):
    """What a picture asks for is checked as what is typed is."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    wordy = GenerationRequest(prompt="a red apple " * 20, seed=1)
    save_png(PIPELINE.generate(wordy).images[0], tmp_path / "wordy.png")
    runs = Runs(Allowance(Hosting(max_prompt_characters=100)))
    context = replace(make_context(Manager()), runs=runs)
    edits = EditEndpoints(context, RecentRuns())
    with pytest.raises(RequestError, match="at most 100 characters"):
        edits.vary(ALICE, {"path": "wordy.png"})  # type: ignore[arg-type]
    assert len(runs) == 0


def test_strange_files_of_bits_are_answered_with_a_sentence(client, tmp_path):  # noqa: F811
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("scale_1_bits.npy", b"\0" * 2**27)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "bomb.npz").read_bytes()[:99])
    for name in ("bomb", "cut"):
        for endpoint in ("/bits", "/reconstruct", "/inspect", "/vary"):
            with pytest.raises(AppError, match="The picture cannot be read as a file of bits"):
                client.predict(handle_file(tmp_path / f"{name}.npz"), api_name=endpoint)
