import json

import numpy as np
import pytest
import torch
from PIL import Image

from infinity.packing import pack_bits
from infinity.request import GenerationRequest
from infinity.tokenizer.quality import psnr, ssim
from tests.edit.test_sources import photo
from tests.tiny import PATCHIFY_SPEC, SPEC, tiny_pipeline

PIPELINES = {spec.name: tiny_pipeline(spec) for spec in (SPEC, PATCHIFY_SPEC)}


@pytest.mark.parametrize("ratio", list(SPEC.schedules))
@pytest.mark.parametrize("name", PIPELINES)
def test_scales_lead_to_the_whole_reconstruction(name, ratio):
    pipeline = PIPELINES[name]
    rebuilt = pipeline.reconstruct(photo(), ratio)
    scales = list(pipeline.measure(rebuilt))
    schedule, bits = pipeline.spec.schedules[ratio], pipeline.spec.tokenizer.bits_per_token
    assert [one.scale for one in scales] == list(schedule)
    assert np.diff([0, *(one.bits for one in scales)]).tolist() == [
        s.tokens * bits for s in schedule
    ]
    assert scales[-1].image.tobytes() == rebuilt.image.tobytes() != scales[0].image.tobytes()
    for one in scales:
        assert (one.psnr, one.ssim) == (
            psnr(rebuilt.original, one.image),
            ssim(rebuilt.original, one.image),
        )
        for other in one.others.values():
            assert other is None or len(other.data) <= one.nbytes == -(-one.bits // 8)


def test_scales_of_a_drawn_picture_are_those_it_grew_by():
    pipeline = PIPELINES["tiny"]
    request = GenerationRequest(prompt="snow", seed=3)
    *previews, done = pipeline.stream(request, previews="full")
    rebuilt = pipeline.decode(done.bits[0], "1:1")
    assert pack_bits([torch.from_numpy(each) for each in rebuilt.bits]) == done.bits[0]
    for one, preview in zip(pipeline.measure(rebuilt), previews, strict=True):
        shown = preview.images[0] if preview.images else done.images[0]
        assert one.image.tobytes() == shown.tobytes()
    assert one.to_dict()["psnr"] is None, "equal"


def test_figures_are_json_and_files_are_the_measured_ones(tmp_path):
    pipeline = PIPELINES["tiny"]
    plain = Image.new("RGB", (200, 200), (90, 120, 30))
    rebuilt = pipeline.reconstruct(plain)
    *_, last = pipeline.measure(rebuilt)
    assert json.loads(json.dumps(rebuilt.to_dict()))["vocabulary"] == "256"
    told = json.loads(json.dumps(last.to_dict()))
    paths = last.save(tmp_path, 5)
    with Image.open(paths["png"]) as image:
        assert image.tobytes() == last.image.tobytes()
    assert paths.keys() == {"png", *(name for name in last.others if told[name])}
    for format in paths.keys() - {"png"}:
        assert len(paths[format].read_bytes()) == told[format]["bytes"] <= told["bytes"]
        with Image.open(paths[format]) as image:
            assert psnr(rebuilt.original, image) == pytest.approx(told[format]["psnr"], abs=1e-3)
