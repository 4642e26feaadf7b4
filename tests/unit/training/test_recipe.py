"""Recipes: what a file may say, what a reader is told when it cannot be used, and what a run keeps of it."""

import json
from pathlib import Path

import pytest

from training.recipe import PROJECTIONS, Recipe, RecipeError, as_settings, from_settings, read_recipe
from training.settings import PROJECT_ROOT

RECIPES = sorted((PROJECT_ROOT / "training" / "recipes").glob("*.toml"))
SMALL = 'name = "small"\n[base]\nmodel = "embedded"\n[data]\nsource = "user/data"\n'


def recipe_of(folder: Path, text: str, *overrides: str) -> Recipe:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, overrides)


def faults_of(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as raised:
        recipe_of(folder, text, *overrides)
    first, *faults = str(raised.value).splitlines()
    assert first == f"The recipe {folder / 'mine.toml'} has {len(faults)} fault{'s' if len(faults) > 1 else ''}:"
    return [fault.strip() for fault in faults]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_can_be_read_and_kept(path: Path) -> None:
    """What a run keeps of it as JSON gives the same recipe again, and holds no path of this machine."""
    recipe = read_recipe(path)
    kept = json.dumps(as_settings(recipe))
    assert from_settings(json.loads(kept)) == recipe
    assert str(PROJECT_ROOT) not in kept
    for place in (recipe.data.source, recipe.data.held_out):
        assert place is None or place == "mlabonne/FineTome-100k" or Path(place).is_file()


@pytest.mark.parametrize(
    ("name", "base", "rank", "steps"),
    [
        ("llama-3.2-1b-r16", "unsloth/Llama-3.2-1B-Instruct", 16, 60),
        ("llama-3.2-3b-r16", "unsloth/Llama-3.2-3B-Instruct", 16, 60),
        ("qwen-2.5-1.5b-r16", "unsloth/Qwen2.5-1.5B-Instruct", 16, 60),
        ("llama-3.2-1b-r32", "unsloth/Llama-3.2-1B-Instruct", 32, 120),
    ],
)
def test_the_studys_recipes_say_what_the_study_states(name: str, base: str, rank: int, steps: int) -> None:
    """Every setting that its write-up gives; of the run of rank 32 it gives rank, steps, base and data only, and the
    recipe takes the rest from the runs of rank 16.
    """
    recipe = read_recipe(PROJECT_ROOT / "training" / "recipes" / f"{name}.toml")
    assert (recipe.name, recipe.base.model, recipe.base.max_length) == (name, base, 2048)
    assert recipe.data.source == "mlabonne/FineTome-100k"
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.lora.dropout) == (rank, 16, 0)
    assert recipe.lora.target_modules == PROJECTIONS
    optimizer = recipe.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.schedule) == ("adamw_8bit", 2e-4, "linear")
    assert (optimizer.warmup_steps, optimizer.weight_decay) == (5, 0.001)
    training = recipe.training
    assert (training.steps, training.batch_size, training.gradient_accumulation) == (steps, 2, 4)
    assert training.seed == 3407


def test_what_a_recipe_leaves_out_has_the_studys_value(tmp_path: Path) -> None:
    """Three settings are enough."""
    recipe = recipe_of(tmp_path, SMALL)
    assert (recipe.base.model, recipe.data.source) == ("embedded", "user/data")
    assert (recipe.lora.rank, recipe.training.steps, recipe.optimizer.learning_rate) == (16, 60, 2e-4)


@pytest.mark.parametrize(
    ("toml", "fault"),
    [
        ("[lora]\nrank = 0", "lora.rank is 0: it must be at least 1."),
        ("[lora]\nalpha = 0", "lora.alpha is 0: it must be more than 0."),
        ("[lora]\ndropout = 1.0", "lora.dropout is 1.0: it must be less than 1."),
        ("[lora]\ndropout = -0.5", "lora.dropout is -0.5: it must be at least 0."),
        ("[lora]\nalpha = nan", "lora.alpha is nan: it must be a finite number."),
        ("[optimizer]\nmax_grad_norm = inf", "optimizer.max_grad_norm is inf: it must be a finite number."),
        ("[optimizer]\nlearning_rate = 2", "optimizer.learning_rate is 2: it must be less than 1."),
        ("[training]\nseed = 4294967296", "training.seed is 4294967296: it must be less than 4294967296."),
        ("[lora]\nalpha = true", "lora.alpha is true: it must be a number, without quotes."),
        (
            '[training]\nsteps = "60"',
            'training.steps is "60": it must be a whole number, without quotes and without a point.',
        ),
        ("[lora]\nrank = 16.0", "lora.rank is 16.0: it must be a whole number, without quotes and without a point."),
        (
            "[training]\nsteps = true",
            "training.steps is true: it must be a whole number, without quotes and without a point.",
        ),
        (
            "[optimizer]\nschedule = 'liner'",
            'optimizer.schedule is "liner": it must be "linear", "cosine", "constant_with_warmup" or "constant".',
        ),
        ("[lora]\ntarget_modules = []", "lora.target_modules is []: it must not be empty."),
        (
            "[lora]\ntarget_modules = 'q_proj'",
            'lora.target_modules is "q_proj": it must be a list, such as ["one", "two"].',
        ),
        (
            "[lora]\ntarget_modules = ['q_proj', 7]",
            "Entry 2 of lora.target_modules is 7: it must be text, in quotes; on the command line 'key=\"text\"'.",
        ),
        ("lora = 3", "lora is 3: it must be a section with settings of its own."),
        ("[lora]\nrnak = 8", "There is no setting lora.rnak: did you mean lora.rank?"),
        ("[optimizer]\nseed = 1", "There is no setting optimizer.seed: did you mean training.seed?"),
        (
            "[lora]\nbatch_size = 1",
            "There is no setting lora.batch_size: did you mean training.batch_size or evaluation.batch_size?",
        ),
        ("[evaluation]\nxyzzy = 1", "There is no setting evaluation.xyzzy: [evaluation] knows every, batch_size."),
        ("[optim]\nname = 'adamw'", "There is no section [optim]: did you mean [optimizer]?"),
        (
            "[xyzzy]\n",
            "There is no section [xyzzy]: a recipe knows "
            "[base], [data], [evaluation], [lora], [optimizer], [training].",
        ),
        ("rank = 8", "There is no setting rank: did you mean lora.rank?"),
        ("xyzzy = 8", "There is no setting xyzzy: outside of its sections a recipe knows name, description."),
    ],
)
def test_a_fault_is_told_with_key_value_and_remedy(tmp_path: Path, toml: str, fault: str) -> None:
    """One sentence for each way in which a setting can be wrong."""
    top, sections = (toml + "\n", "") if "[" not in toml.partition("=")[0] else ("", toml)
    assert faults_of(tmp_path, top + SMALL + sections) == [fault]


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["base.revision=abc"], ('base.revision is "abc"', '"embedded" is no repository')),
        (["base.model=./x.gguf", "base.revision=abc"], ('base.revision is "abc"', "x.gguf", "leave base.revision out")),
        (["data.source=./x.jsonl", "data.revision=abc"], ('data.revision is "abc"', "x.jsonl")),
        (["data.source=./x.jsonl", "data.split=test"], ('data.split is "test"', "has no splits")),
        (["data.min_answer_words=9", "data.max_answer_words=8"], ("data.min_answer_words is 9", "words is 8")),
        (["data.held_out=user/other", "data.held_out_rows=5"], ('data.held_out is "user/other"', "only one")),
        (["data.held_out=user/data"], ("data.held_out is data.source itself", "nothing is left to train on")),
        (['lora.target_modules=["q_proj", "q_proj"]'], ('["q_proj", "q_proj"]', "each module once")),
        (["training.steps=5"], ("optimizer.warmup_steps is 5 and training.steps is 5", "never reach its peak")),
    ],
)
def test_settings_that_cannot_be_together_are_refused(tmp_path: Path, overrides: list[str], parts: list[str]) -> None:
    """Each of them is fine by itself."""
    [fault] = faults_of(tmp_path, SMALL, *overrides)
    assert all(part in fault for part in parts), fault


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Unknown, impossible, missing and contradictory settings and broken overrides need one reading, not five."""
    text = 'name = "…"\n[lora]\nrank = 0\nrnak = 1\n[training]\nsteps = "many"\n'
    text += "[data]\nmin_answer_words = 9\nmax_answer_words = 8\n[base]\nrevision = 'x'\n"
    faults = faults_of(tmp_path, text, "rank", "training.batch_size=0")
    begins = ["--set rank is", "There is no setting lora.rnak", "name is", "base.model is missing"]
    begins += ["data.source is missing", "lora.rank is 0", "training.steps is", "training.batch_size is 0"]
    begins += ["data.min_answer_words is 9"]
    assert len(faults) == len(begins) and all(map(str.startswith, faults, begins)), faults
    assert faults[2] == 'name is "…": it must hold a letter or a digit.'
    assert faults[3] == "base.model is missing: name a hub id, a folder, a GGUF file, or embedded."


def test_an_empty_recipe_is_told_what_it_needs(tmp_path: Path) -> None:
    """The three settings without a default."""
    assert [fault.partition(" is missing: ")[0] for fault in faults_of(tmp_path, "")] == [
        "name",
        "base.model",
        "data.source",
    ]


@pytest.mark.parametrize("text", ["", " ", "two\\nlines", "\\u0000"])
def test_text_must_be_printable_and_on_one_line(tmp_path: Path, text: str) -> None:
    """It becomes part of names, paths and messages of one line."""
    faults = faults_of(tmp_path, SMALL.replace("user/data", text))
    assert len(faults) == 1 and "data.source is" in faults[0] and "one line" in faults[0]


def test_long_values_are_cut(tmp_path: Path) -> None:
    """A pasted file does not fill the screen."""
    [fault] = faults_of(tmp_path, SMALL + f"[lora]\nrank = '{'x' * 5000}'")
    assert len(fault) < 250 and "…" in fault


def test_overrides_replace_settings(tmp_path: Path) -> None:
    """Values are TOML, or plain text; a section that the file lacks is made; the last word counts."""
    recipe = recipe_of(
        tmp_path,
        SMALL,
        "lora.rank=32",
        "lora.rank = 64",
        "name=other name",
        "base.model=unsloth/Llama-3.2-1B-Instruct",
        "base.revision='0123'",
        'lora.target_modules=["q_proj"]',
        'data.sources=["a","b"]',
        "optimizer.learning_rate=1e-4",
    )
    assert (recipe.lora.rank, recipe.name, recipe.lora.target_modules) == (64, "other name", ("q_proj",))
    assert (recipe.base.model, recipe.base.revision) == ("unsloth/Llama-3.2-1B-Instruct", "0123")
    assert (recipe.data.sources, recipe.optimizer.learning_rate) == (("a", "b"), 1e-4)


@pytest.mark.parametrize(
    "text", ["rank", "=3", "lora.=3", "lora rank=3", "", "lora.rank=3\n[training]", "lora..rank=3"]
)
def test_what_is_no_override_is_refused(tmp_path: Path, text: str) -> None:
    """With an example of one."""
    [fault] = faults_of(tmp_path, SMALL, text)
    assert fault.startswith("--set ") and fault.endswith(
        "is not a setting: write section.key=value, for example lora.rank=32."
    )


def test_overrides_are_checked_like_the_file(tmp_path: Path) -> None:
    """Also when they put a section where a setting is."""
    [fault] = faults_of(tmp_path, SMALL + "[lora]\nrank = 8", "lora.rank.x=1")
    assert fault.startswith('lora.rank is {"x": 1}: it must be a whole number')
    assert faults_of(tmp_path, SMALL, "trainng.steps=3") == ["There is no section [trainng]: did you mean [training]?"]


def test_paths_count_from_the_recipe_and_overrides_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is what looks like one or exists; the rest are ids of the hub."""
    home, here, folder = tmp_path / "home", tmp_path / "here", tmp_path / "recipes"
    for each in (home, here, folder, folder / "models" / "mine"):
        each.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    text = "name = 'x'\n[base]\nmodel = 'models/mine'\n[data]\nsource = '../rows.JSONL'\nheld_out = '~/rows.parquet'\n"
    recipe = recipe_of(folder, text)
    assert recipe.base.model == str(folder / "models" / "mine")
    assert (recipe.data.source, recipe.data.held_out) == (str(tmp_path / "rows.JSONL"), str(home / "rows.parquet"))
    recipe = recipe_of(folder, text, "base.model=models/other", "data.source=rows.json", "data.held_out=a/b")
    assert (recipe.base.model, recipe.data.held_out) == ("models/other", "a/b")
    assert recipe.data.source == str(here / "rows.json")


def test_a_link_keeps_its_name(tmp_path: Path) -> None:
    """The hub's cache links names to files that are called by their hash."""
    (tmp_path / "blob").write_bytes(b"")
    (tmp_path / "model.gguf").symlink_to(tmp_path / "blob")
    recipe = recipe_of(tmp_path, SMALL.replace("embedded", "model.gguf"))
    assert recipe.base.model == str(tmp_path / "model.gguf")


def test_a_run_keeps_paths_that_hold_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the project relative to it, those in the home folder relative to that; only the others are absolute."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    text = SMALL.replace("user/data", str(PROJECT_ROOT / "training" / "data" / "train.jsonl"))
    recipe = recipe_of(tmp_path, text, f"base.model={home}/m.gguf", f"data.held_out={tmp_path}/rows.jsonl")
    kept = as_settings(recipe)
    assert kept["data"]["source"] == "./training/data/train.jsonl"
    assert (kept["base"]["model"], kept["data"]["held_out"]) == ("~/m.gguf", f"{tmp_path}/rows.jsonl")
    monkeypatch.chdir(home)
    assert from_settings(kept) == recipe


def test_a_kept_id_of_the_hub_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the project holds a folder of that name, as it does of this one."""
    monkeypatch.chdir(tmp_path)
    kept = as_settings(recipe_of(tmp_path, SMALL.replace("user/data", "training/data")))
    assert (PROJECT_ROOT / "training" / "data").is_dir()
    assert from_settings(kept).data.source == "training/data"


def test_a_kept_recipe_of_another_version_is_refused(tmp_path: Path) -> None:
    """A setting that this version does not know would be dropped silently."""
    kept = as_settings(recipe_of(tmp_path, SMALL))
    kept["lora"] |= {"rank": 0, "use_dora": True}
    with pytest.raises(RecipeError, match="kept with the run has 2 faults") as raised:
        from_settings(kept)
    assert "lora.use_dora" in str(raised.value) and "lora.rank is 0" in str(raised.value)


def test_a_missing_recipe_is_told_with_the_nearest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or with all there are, when none is near."""
    monkeypatch.chdir(PROJECT_ROOT)
    with pytest.raises(RecipeError, match=r"There is no recipe dmeo\. Did you mean training/recipes/demo\.toml\?"):
        read_recipe(Path("dmeo"))
    with pytest.raises(RecipeError, match=r"In training/recipes there are demo\.toml, .*smollm2-r16\.toml"):
        read_recipe(tmp_path / "xyzzy.toml")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"name = ", "is not valid TOML: Invalid value (at "),
        (b"name = 'a'\nname = 'b'", "is not valid TOML"),
        (b"[lora]\nrank = " + b"[" * 5000, "is not valid TOML"),
        (b"[lora]\nrank = " + b"1" * 5000, "is not valid TOML"),
        ('name = "Käse"'.encode("latin-1"), "is not text in UTF-8"),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_is_no_toml_is_told(tmp_path: Path, content: bytes | None, part: str) -> None:
    """In a sentence, whatever is wrong with it."""
    path = tmp_path / "mine.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(RecipeError) as raised:
        read_recipe(path)
    assert part in str(raised.value) and str(path) in str(raised.value)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Some editors begin every file with one."""
    assert recipe_of(tmp_path, "\ufeff" + SMALL).name == "small"
