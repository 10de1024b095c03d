import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import infinity
from infinity import GenerationRequest
from infinity.__main__ import main
from infinity.grid.plan import read_plan
from infinity.grid.sheet import sheet
from infinity.images import open_image
from infinity.metadata import read_record, save_png
from infinity.pipeline import InfinityPipeline
from tests.tiny import SPEC, tiny_pipeline

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = tiny_pipeline()


class Command:
    """Runs a command in this process, in a folder of its own, on the tiny model."""

    def __init__(self, folder: Path, capsys) -> None:
        self.folder = folder
        self.capsys = capsys
        self.loaded: list[tuple] = []

    def load(self, name_or_path, device=None, dtype=None, progress=None, memory=None, adapter=None):
        self.loaded.append((name_or_path, device, dtype))
        if progress is not None:
            progress("Reading the transformer", 0.5)
        return PIPELINE

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """(exit status, standard output, standard error)"""
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code
        return status, *self.capsys.readouterr()


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    command = Command(tmp_path, capsys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(InfinityPipeline, "from_pretrained", command.load)
    return command


def one_line(text: str) -> bool:
    return text.endswith("\n") and text.count("\n") == 1


def test_generate_saves_the_picture_that_python_draws(run):
    status, out, err = run("generate", "a red apple", "--seed", "1", "--output", "out.png")
    assert (status, err) == (0, "")
    assert out.startswith("out.png: 16x16, seed 1")
    expected = PIPELINE.generate(GenerationRequest(prompt="a red apple", seed=1)).images[0]
    with Image.open("out.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(expected))
    assert run.loaded == [("default", None, None)]


def test_every_sampling_option_reaches_the_request(run):
    status, *_ = run(
        "generate", "a red apple", "--model", "tiny", "--negative-prompt", "snow",
        "--aspect-ratio", "3:2", "--seed", "4294967295", "--num-images", "2",
        "--guidance", "1,3,2", "--temperature", "0.5", "--top-k", "900", "--top-p", "0.97",
        "--guidance-layers", "0,-2", "--guided-scales", "3", "--pruning", "0.4", "--fp8-scales", "2", "--confidence", "0.6,0.8", "--device", "cpu",
        "--dtype", "float32", "-o", "new/folder/x.png",
    )  # fmt: skip
    assert status == 0
    assert run.loaded == [("tiny", "cpu", "float32")]
    record = read_record("new/folder/x-4294967295.png")
    assert record.request == GenerationRequest(
        prompt="a red apple",
        negative_prompt="snow",
        aspect_ratio="3:2",
        seed=4294967295,
        guidance=(1.0, 3.0, 2.0),
        temperature=0.5,
        top_k=900,
        top_p=0.97,
        guidance_layers=(0, -2),
        guided_scales=3,
        pruning=0.4,
        fp8_scales=2,
        confidence=(0.6, 0.8),
    )
    assert read_record("new/folder/x-0.png").request.seed == 0


def test_preset_is_what_options_given_beside_it_replace(run):
    arguments = ("a {red|blue} apple", "--preset", "paper", "--temperature", "0.5", "-o", "x.png")
    assert run("generate", *arguments)[0] == 0
    record = read_record("x.png")
    assert (record.request.guidance, record.request.temperature) == (4.0, 0.5)
    assert record.request.prompt in ("a red apple", "a blue apple")
    assert record.template == "a {red|blue} apple"


def test_grid_is_one_png_with_labels_and_its_recipe(run):
    status, out, err = run(
        "grid", "a red apple", "--x", "words", "red, blue", "--y", "guidance", '1, 3, "1,2"',
        "--seed", "4", "--temperature", "0.5", "-o", "plot.png",
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert out.startswith("plot.png: ") and out.endswith(", 2 x 3 pictures\n")
    assert run.loaded == [("default", None, None)]
    image = open_image("plot.png")
    plan = read_plan(image)
    assert plan is not None
    assert (plan.shape, plan.request.seed, plan.request.temperature) == ((3, 2), 4, 0.5)
    pictures = {
        (cell.row, cell.column): PIPELINE.generate(cell.request).images[0] for cell in plan.cells()
    }
    assert sheet(plan, pictures).tobytes() == image.tobytes()


def test_grid_of_models_loads_each_once_and_one_row_needs_no_second_axis(run):
    status, out, _ = run("grid", "a dog", "--x", "model", "default, tiny", "--preset", "paper")
    assert status == 0
    assert out.startswith("grid.png: ")
    assert [name for name, *_ in run.loaded] == ["default", "tiny"]
    plan = read_plan(open_image("grid.png"))
    assert plan is not None
    assert (plan.shape, plan.request.guidance) == ((1, 2), 4.0)


def test_scales_dir_gets_the_picture_after_every_scale(run):
    status, *_ = run("generate", "a red apple", "-o", "x.png", "--scales-dir", "scales")
    assert status == 0
    names = [f"scale-{i + 1:02d}.png" for i in range(len(SPEC.schedules["1:1"]))]
    assert sorted(path.name for path in Path("scales").iterdir()) == names
    with Image.open(Path("scales") / names[-1]) as last, Image.open("x.png") as final:
        assert np.array_equal(np.asarray(last), np.asarray(final))
        assert last.size == (16, 16)


def test_growth_has_every_scale_and_ends_with_the_picture(run):
    run("generate", "a red apple", "-o", "x.png", "--growth", "new/x.gif")
    assert run("replay", "x.png", "--model", "tiny", "--growth", "x.webp", "-o", "y.png")[0] == 0
    for name in ("new/x.gif", "x.webp"):
        with Image.open(name) as growth, Image.open("x.png") as final:
            assert growth.n_frames >= len(SPEC.schedules["1:1"])
            growth.seek(growth.n_frames - 1)
            assert growth.size == final.size


def test_notes_on_the_prompt_go_to_standard_error(run, caplog):
    assert run("generate", "🎉🎉", "-o", "x.png")[0] == 0
    assert "knows nothing of the prompt" in caplog.text


def test_threads_are_set(run, monkeypatch):
    threads = []
    monkeypatch.setattr("torch.set_num_threads", threads.append)
    assert run("generate", "x", "-o", "x.png", "--threads", "3")[0] == 0
    assert threads == [3]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "the following arguments are required"),
        (("paint", "x"), "invalid choice: 'paint'"),
        (("generate",), "the following arguments are required: prompt"),
        (("generate", "x", "--colour", "red"), "unrecognized arguments: --colour red"),
        (("generate", ""), "The prompt is empty"),
        (("generate", "  "), "The prompt is empty"),
        (("generate", "apple " * 10_000), "The prompt has 60,000 characters"),
        (("generate", "x", "--seed", "-2"), "seed must be a whole number from 0 to 4294967295"),
        (("generate", "a \udcff apple"), "has bytes that are no text"),
        (("generate", "x", "--seed", "4294967296"), "seed must be a whole number"),
        (("generate", "x", "--seed", "seven"), "argument --seed: invalid int value: 'seven'"),
        (("generate", "x", "--guidance", "nan"), "guidance must be a number from 0 to 100"),
        (("generate", "x", "--guidance", "lots"), "'lots' is not a number"),
        (("generate", "x", "--top-p", "0"), "top_p must be above 0"),
        (("generate", "x", "--num-images", "0"), "num_images must be a whole number from 1"),
        (("generate", "x", "--guidance-layers", "a"), "'a' is not a list of whole numbers"),
        (("generate", "x", "--guidance-layers=-9"), "guidance layer -9 does not exist"),
        (("generate", "x", "--aspect-ratio", "16:9"), "choose one of 1:1, 3:2, 2:3"),
        (("generate", "x", "--threads", "0"), "'0' is not a whole number from 1"),
        (("generate", "x", "--threads", "1000000000"), "is not a whole number from 1 to 4096"),
        (("generate", "x", "--seed", "9" * 5_000), "invalid int value"),
        (("generate", "x", "-o", "x" * 400 + ".png"), "cannot be a file (File name too long)"),
        (("generate", "x", "-o", "a\0.png"), "cannot be a file (embedded null byte)"),
        (("generate", "x", "-o", "d/" * 1_500 + "x.png"), "lies in 1500 folders"),
        (("generate", "x", "-o", "/dev/null/x.png"), "cannot be a file (Not a directory)"),
        (("replay", "x" * 5_000), "cannot be read as a picture"),
        (("replay", "a\0"), "cannot be read as a picture"),
        (("generate", "x", "-o", "x.jpg"), "x.jpg must end in .png"),
        (("generate", "x", "--growth", "x.avi"), "must end in .webp, .gif or .mp4"),
        (("generate", "x", "-o", "."), ". must end in .png"),
        (("grid", "x"), "the following arguments are required: --x"),
        (("grid", "x", "--x", "seed"), "argument --x: expected 2 arguments"),
        (("grid", "x", "--x", "colour", "red"), "A grid cannot vary 'colour'"),
        (("grid", "x", "--x", "seed", "one"), "'one' is not a value it can take"),
        (("grid", "x", "--x", "seed", "1-9", "--y", "top_p", "0.1-0.9 [9]"), "at most 64"),
        (("grid", "x", "--x", "aspect_ratio", "1:1, 9:1"), "choose one of 1:1, 3:2, 2:3"),
        (("grid", "x", "--x", "seed", "1-2", "-o", "x.jpg"), "x.jpg must end in .png"),
        (("reconstruct", "none.png"), "There is no picture at none.png"),
        (("replay", "none.png"), "There is no picture at none.png"),
        (("convert", "x.pth"), "the following arguments are required: -o/--output"),
        (("convert", "x.pth", "-o", "y", "--dtype", "int8"), "Unknown precision 'int8'"),
    ],
)
def test_bad_usage_is_one_line_and_status_two(run, arguments, sentence):
    status, out, err = run(*arguments)
    assert status == 2
    assert sentence in err
    assert one_line(err)
    assert out == ""


def test_unknown_model_is_one_line_and_status_two(run, monkeypatch):
    monkeypatch.undo()
    status, _, err = run("generate", "x", "--model", "infinity-2c", "-o", str(run.folder / "x.png"))
    assert status == 2
    assert "did you mean 'infinity-2b'" in err
    assert one_line(err)


def test_missing_device_is_one_line_and_status_one(run, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    status, _, err = run("generate", "x", "--device", "cuda", "-o", str(run.folder / "x.png"))
    assert status == 1
    assert "This machine has no device 'cuda'" in err
    assert one_line(err)


@pytest.mark.parametrize("command", [("generate", "x"), ("grid", "x", "--x", "seed", "1-2")])
def test_output_that_cannot_be_is_told_before_anything_is_loaded(run, command, monkeypatch):
    (run.folder / "there.png").mkdir()
    os.mkfifo(run.folder / "pipe.png")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) == run.folder)
    (run.folder / "shut").mkdir()
    for name, sentence in (
        ("there.png", "there.png is a folder; name a file."),
        ("pipe.png", "pipe.png is a pipe; name a file."),
        ("shut/a/x.png", "shut may not be written; choose another place."),
    ):
        status, _, err = run(*command, "-o", name)
        assert (status, one_line(err)) == (2, True)
        assert err.endswith(f"{sentence}\n")
    assert run.loaded == []


def test_full_disk_is_one_line_and_status_one_and_leaves_no_file(run, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    status, out, err = run("generate", "x", "-o", "x.png")
    assert (status, out) == (1, "")
    assert (
        err == "infinity: The disk is full: x.png was not saved; free some space and try again.\n"
    )
    assert list(run.folder.iterdir()) == []


def test_interruption_is_one_line_and_status_one(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(InfinityPipeline, "stream", interrupted)
    assert run("generate", "x", "-o", "x.png") == (1, "", "infinity: stopped\n")


def test_replay_draws_the_same_pixels_and_says_so(run):
    run("generate", "a red apple", "--seed", "5", "--num-images", "2", "-o", "x.png")
    status, out, _ = run("replay", "x-6.png", "--model", "tiny", "-o", "again.png")
    assert status == 0
    assert "The pixels are the same as the original's." in out
    assert run.loaded[-1] == ("tiny", None, "float32")
    assert read_record("again.png") == read_record("x-6.png")


def test_replay_tells_how_many_pixels_differ(run):
    run("generate", "a red apple", "-o", "x.png")
    with Image.open("x.png") as image:
        image.load()
    red, green, blue = image.getpixel((0, 0))
    image.putpixel((0, 0), (255 - red, green, blue))
    save_png(image, "changed.png")
    status, out, _ = run("replay", "changed.png", "--model", "tiny", "-o", "again.png")
    assert status == 0
    assert "1 pixels differ from the original, which was made on cpu in float32" in out


def test_replay_of_a_model_without_a_known_place_asks_for_it(run):
    run("generate", "a red apple", "-o", "x.png")
    status, _, err = run("replay", "x.png", "-o", "again.png")
    assert status == 2
    assert "a model called 'tiny'" in err and "--model FOLDER" in err


def test_replay_of_a_picture_made_elsewhere_is_refused(run):
    Image.new("RGB", (4, 4)).save("plain.png")
    status, _, err = run("replay", "plain.png", "-o", "again.png")
    assert status == 2
    assert "plain.png has no Infinity record" in err


def test_reconstruct_saves_the_picture_and_tells_the_bits(run):
    Image.effect_noise((30, 40), 50).save("in.png")
    status, out, _ = run("reconstruct", "in.png", "--output", "out.png", "--scales-dir", "scales")
    assert status == 0
    *table, last = out.splitlines()
    assert last.startswith("out.png: 12x18, aspect ratio 2:3, 4 scales, ")
    with Image.open("out.png") as image:
        assert image.size == (12, 18)
    figures = json.loads(Path("scales/figures.json").read_text())["scales"]
    for number, (line, told) in enumerate(zip(table[1:], figures, strict=True), 1):
        assert line.split()[:4] == [
            str(number), f"{told['height']}x{told['width']}", str(told["bits"]), str(told["bytes"])
        ]  # fmt: skip
        assert f"{told['psnr']:.2f}  {told['ssim']:.3f}" in line
        assert Path(f"scales/scale-{number:02d}.png").is_file()
    assert Path("scales/original.png").is_file()


def test_bits_are_saved_and_rebuilt(run):
    drawn = PIPELINE.generate(GenerationRequest(prompt="a red apple", seed=1)).images[0]
    save_png(drawn, "apple.png")
    status, out, _ = run("bits", "apple.png", "--output", "apple.npz")
    assert status == 0
    assert out == "apple.npz: 824 bits in 5 scales, those it was drawn with\n"
    assert run("reconstruct", "apple.npz", "-o", "again.png")[0] == 0
    with Image.open("again.png") as again:
        assert again.tobytes() == drawn.tobytes()
    for name in ("none.npz", "apple.png"):
        assert run("bits", name, "-o", "x.png")[0] == 2, "x.png must end in .npz"


def test_models_lists_every_model_with_its_size(run):
    status, out, _ = run("models")
    assert status == 0
    lines = out.splitlines()
    assert lines[0].split()[:2] == ["NAME", "PARAMETERS"]
    assert lines[1].startswith("default ")
    (two,) = [line for line in lines if line.startswith("infinity-2b ")]
    assert two.split()[1:3] == ["2.3B", "1024x1024"]
    assert "FoundationVision/Infinity" in two


def test_convert_passes_everything_on(run, monkeypatch):
    seen = {}

    def convert(upstream, output, **options):
        seen.update(upstream=upstream, output=output, **options)
        options["progress"]("Converted", 1.0)
        return SPEC

    monkeypatch.setattr("infinity.cli.commands.convert_checkpoint", convert)
    status, out, _ = run(
        "convert",
        "x.pth",
        "--output",
        "y",
        "--tokenizer",
        "vae.pth",
        "--dtype",
        "bfloat16",
        "--ema",
    )
    assert status == 0
    assert out == f"y: {SPEC.title}\n"
    assert (seen["upstream"], seen["output"], seen["tokenizer"]) == (
        "x.pth", Path("y"), Path("vae.pth"),
    )  # fmt: skip
    assert str(seen["dtype"]) == "torch.bfloat16" and seen["ema"] is True


def test_convert_of_a_missing_file_is_one_line_and_status_one(run):
    status, _, err = run("convert", "none.pth", "--output", "y")
    assert status == 1
    assert one_line(err) and "none.pth" in err
    assert not Path("y").exists()


def test_module_runs_as_a_program_and_helps():
    done = subprocess.run(
        [sys.executable, "-m", "infinity", "generate", " ", "-o", "/nowhere/x.png"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "infinity: The prompt is empty; describe the picture you want.\n"


@pytest.mark.parametrize(
    "command", ["generate", "grid", "replay", "reconstruct", "convert", "models"]
)
def test_every_command_explains_itself(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert "usage: python -m infinity" in out


def test_help_needs_no_heavy_library():
    code = (
        "import sys, infinity.__main__; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == "[]"


def test_minus_one_draws_a_random_seed_and_tells_it(run):
    assert run("generate", "x", "--seed", "-1", "-o", "x.png")[0] == 0
    first = read_record("x.png").request.seed
    _, out, _ = run("generate", "x", "--seed", "-1", "-o", "y.png")
    second = read_record("y.png").request.seed
    assert first != second
    assert f"seed {second}," in out
    _, out, _ = run("grid", "x", "--x", "guidance", "1, 2", "--seed", "-1", "-o", "grid.png")
    plan = read_plan(open_image("grid.png"))
    assert plan is not None
    assert f"seed {plan.request.seed}," in out


def test_nothing_is_replaced_in_silence(run):
    for name in ("infinity.png", "infinity-2.png", "infinity-3.png"):
        _, out, _ = run("generate", "x")
        assert out.startswith(f"{name}: ")
        assert "replacing" not in out
    assert "replacing" not in run("generate", "x", "-o", "mine.png")[1]
    assert "replacing the file of that name" in run("generate", "x", "-o", "mine.png")[1]
    assert run("generate", "x", "--num-images", "2")[1].startswith("infinity-0.png: ")
    assert run("generate", "x", "--num-images", "2")[1].startswith("infinity-0-2.png: ")


def test_home_folder_and_long_names_are_what_they_are_elsewhere(run, monkeypatch):
    monkeypatch.setenv("HOME", str(run.folder / "home"))
    assert run("generate", "x", "--output=~/pictures/x.png", "--model", "~/tiny")[0] == 0
    assert (run.folder / "home" / "pictures" / "x.png").is_file()
    assert run.loaded[-1][0] == str(run.folder / "home" / "tiny")
    name = "n" * 251 + ".png"
    assert run("generate", "x", "-o", name)[0] == 0
    assert Path(name).is_file()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_terminal_that_cannot_show_a_name_is_no_error(run, monkeypatch, encoding):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding))
    assert main(["generate", "x", "-o", "りんご.png"]) == 0
    sys.stdout.flush()
    assert shown.getvalue().startswith(rb"\u308a\u3093\u3054.png: ")
    assert Path("りんご.png").is_file()


def test_output_that_is_closed_or_full_loses_no_picture(run, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "stderr", None)
        assert main(["generate", "x", "-o", "closed.png"]) == 0

    def full(_: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "write", full)
        assert main(["generate", "x", "-o", "full.png"]) == 1
    assert one_line(capsys.readouterr().err)
    assert Path("closed.png").is_file()
    assert Path("full.png").is_file()


@pytest.mark.parametrize("program", [["-m", "infinity"], ["app.py"]])
def test_version_is_told_by_every_entry_point(program):
    done = subprocess.run(
        [sys.executable, *program, "--version"], cwd=ROOT, capture_output=True, text=True, check=True,
        timeout=120,
    )  # fmt: skip
    assert done.stdout == f"infinity {infinity.__version__}\n"
