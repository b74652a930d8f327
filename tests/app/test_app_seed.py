"""``flask init-db`` and the files that it reads; the settings."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import app as application_package
from app.database import Database
from app.errors import DefinitionError, SettingsError
from app.factory import create_app
from app.repository import list_steps
from app.seed import Seeded, init_db
from app.settings import Settings
from app.workflow.loader import load_posts, load_workflow
from app.workflow.scripts.prompt_constructor import construct_prompt

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(workflows: Path, posts: Path) -> Settings:
    return Settings(workflows=workflows, posts=posts)


def edit(file: Path, **changes: object) -> None:
    """Change keys of a file; None removes one."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    content |= changes
    content = {key: value for key, value in content.items() if value is not None}
    file.write_text(json.dumps(content), encoding="utf-8")


def test_a_database_holds_what_the_files_say(database: Database, settings: Settings) -> None:
    assert init_db(database, settings) == Seeded(steps=2, templates=3, posts_added=1)
    with database.reading() as session:
        assert tuple(list_steps(session)) == load_workflow(settings.workflows).steps
        assert list_steps(session)[0] is list_steps(session)[0]  # so that what is prepared per step is prepared once


def test_a_second_time_updates_definitions_and_keeps_posts(database: Database, settings: Settings) -> None:
    init_db(database, settings)
    app = create_app({"DATABASE_URL": database.engine.url.render_as_string(hide_password=False)})
    client: Any = app.test_client()
    own = client.post("/api/posts", json={"title": "Own", "fields": {"seed_idea": "x"}}).json["id"]
    steps = settings.workflows / "planning"
    edit(steps / "idea/concept.yaml", task_prompt="Do it again.", stage="Thinking", order=5)
    (steps / "research/facts.yaml").unlink()
    (settings.workflows / "formats/facts-out.yaml").unlink()
    edit(settings.workflows / "formats/text-out.yaml", description="Two paragraphs.")

    assert init_db(database, settings) == Seeded(steps=1, templates=2, posts_added=0)
    (step,) = client.get("/api/steps").json["steps"]
    assert (step["stage"], step["order"]) == ("Thinking", 5)
    prompt = client.post(f"/api/posts/{own}/steps/concept/preview").json["prompt"]
    assert "Do it again." in prompt
    assert "Two paragraphs." in prompt
    assert client.get(f"/api/posts/{own}").json["fields"] == {"seed_idea": "x"}
    assert client.get("/api/posts/1").json["title"] == "Roads"
    app.extensions["blog"].database.close()


def test_nothing_is_written_where_a_file_is_wrong(database: Database, settings: Settings) -> None:
    init_db(database, settings)
    edit(settings.workflows / "planning/idea/concept.yaml", task_prompt="New.")
    edit(settings.posts / "roads.yaml", title=5)
    with pytest.raises(DefinitionError):
        init_db(database, settings)
    with database.reading() as session:
        assert list_steps(session)[0].task_prompt == "Write a concept for [data:audience].\n"


STEP = "planning/idea/concept.yaml"
FORMAT = "formats/text-out.yaml"


@pytest.mark.parametrize(
    ("file", "changes", "key", "message"),
    [
        (STEP, {"model": "gpt"}, "model", "'gpt' is not a model; write one of llama3.1:8b, llama3.1:70b"),
        (STEP, {"modell": "x"}, "modell", "an unknown key; did you mean 'model'?"),
        (STEP, {"zzz": "x"}, "zzz", "an unknown key"),
        (STEP, {"name": None}, "name", "missing"),
        (STEP, {"name": 5}, "name", "5 is not text"),
        (STEP, {"task_prompt": " "}, "task_prompt", "empty"),
        (STEP, {"task_prompt": "a\0"}, "task_prompt", "holds a NUL character"),
        (STEP, {"order": "1"}, "order", "'1' is not a whole number"),
        (STEP, {"order": True}, "order", "True is not a whole number"),
        ("planning/research/facts.yaml", {"order": 1}, "order", "1 is the place of"),
        (STEP, {"id": "concepts"}, "id", "'concepts' is not the file's name; write 'concept'"),
        (STEP, {"id": "Concept"}, "id", "'Concept' is not in kebab-case"),
        (STEP, {"parameters": []}, "parameters", "list, where a mapping of names to values belongs"),
        (STEP, {"input_format": "field-in"}, "input_format", "no format 'field-in'; did you mean 'fields-in'?"),
        (STEP, {"output_format": "fields-in"}, "output_format", "'fields-in' is of type input, and this wants output"),
        (STEP, {"output_field": "Basic Idea"}, "output_field", "'Basic Idea' is not in snake_case"),
        (STEP, {"inputs": {}}, "inputs", "not a list"),
        (STEP, {"inputs": [{"field": "idea"}]}, "inputs[0].name", "missing"),
        (STEP, {"inputs": [{"field": "idea", "name": "I", "required": "yes"}]}, "inputs[0].required", "'yes'"),
        (STEP, {"inputs": [{"field": "a", "name": "A"}, {"field": "a", "name": "B"}]}, "inputs[1].field", "'a'"),
        (STEP, {"inputs": ["idea"]}, "inputs[0]", "str, where a mapping"),
        (FORMAT, {"fields": {"type": "both", "schema": {}}}, "fields.type", "'both' is not a type; write input"),
        (FORMAT, {"fields": {"type": "output", "schema": {"type": "txt"}}}, "fields.schema", "not a JSON Schema"),
        (FORMAT, {"fields": {"type": "output"}}, "fields.schema", "missing"),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_refused_with_file_and_key(
    settings: Settings, file: str, changes: dict[str, object], key: str, message: str
) -> None:
    edit(settings.workflows / file, **changes)
    with pytest.raises(DefinitionError, match=re.escape(message)) as caught:
        load_workflow(settings.workflows)
    assert caught.value.key == key
    assert caught.value.file == settings.workflows / file
    assert str(caught.value).startswith(f"{settings.workflows / file}: {key}: ")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (b"id: a\nid: b\n", "line 2", "key 'id' stands twice"),
        (b"id: [\n", "line 2", "not YAML"),
        (b"id: caf\xe9\n", "", "not YAML"),
        (b"id: !!python/object/apply:os.system ['true']\n", "line 1", "not YAML"),
        (b"? [a]\n: b\n", "line 1", "not YAML"),
        (b"- a\n", "", "list, where a mapping"),
        (b"", "", "NoneType, where a mapping"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(settings: Settings, text: bytes, place: str, message: str) -> None:
    (settings.workflows / STEP).write_bytes(text)
    with pytest.raises(DefinitionError, match=re.escape(message)) as caught:
        load_workflow(settings.workflows)
    assert caught.value.key == place


def test_an_id_stands_for_one_step_only(settings: Settings) -> None:
    twin = settings.workflows / "writing/idea/concept.yaml"
    twin.parent.mkdir(parents=True)
    twin.write_text((settings.workflows / STEP).read_text())
    with pytest.raises(DefinitionError, match=r"'concept' is the id of .* as well"):
        load_workflow(settings.workflows)


def test_a_folder_that_is_not_there_is_an_error_for_workflows_only(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="there is no such folder"):
        load_workflow(tmp_path / "nothing")
    assert load_posts(tmp_path / "nothing") == ()


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"title": ""}, "title"), ({"fields": []}, "fields"), ({"fields": {"Idea": "x"}}, "fields.Idea"), ({"x": 1}, "x"),
     ({"fields": {"idea": 5}}, "fields.idea")],
)  # fmt: skip
def test_a_wrong_post_is_refused_with_file_and_key(settings: Settings, changes: dict[str, object], key: str) -> None:
    edit(settings.posts / "roads.yaml", **changes)
    with pytest.raises(DefinitionError) as caught:
        load_posts(settings.posts)
    assert caught.value.key == key


def test_two_posts_of_one_title_are_refused(settings: Settings) -> None:
    (settings.posts / "twin.yaml").write_text((settings.posts / "roads.yaml").read_text())
    with pytest.raises(DefinitionError, match="'Roads' is the title of"):
        load_posts(settings.posts)


def test_init_db_is_a_command(make_app: Any, workflows: Path, posts: Path, tmp_path: Path) -> None:
    app = create_app({"DATABASE_URL": f"sqlite:///{tmp_path / 'new' / 'cli.sqlite3'}"})
    arguments = ["init-db", "--workflows", str(workflows), "--posts", str(posts)]
    first = app.test_cli_runner().invoke(args=arguments)
    assert (first.exit_code, first.output) == (0, "2 steps, 3 format templates, 1 new posts\n")
    assert app.test_cli_runner().invoke(args=arguments).output == "2 steps, 3 format templates, 0 new posts\n"
    edit(workflows / STEP, model="gpt")
    wrong = app.test_cli_runner().invoke(args=arguments)
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith(f"Error: {workflows / STEP}: model: 'gpt' is not a model")
    app.extensions["blog"].database.close()


def test_the_repository_s_own_workflow_is_seeded_and_every_step_makes_a_prompt(tmp_path: Path) -> None:
    app = create_app({"DATABASE_URL": f"sqlite:///{tmp_path / 'real.sqlite3'}", "LOG_SINK": lambda event: None})
    services = app.extensions["blog"]
    seeded = init_db(services.database, replace(services.settings, workflows=ROOT / "workflows"))
    client: Any = app.test_client()
    steps = client.get("/api/steps").json["steps"]
    assert len(steps) == seeded.steps == len(list((ROOT / "workflows").glob("*/*/*.yaml")))
    for step in steps:
        fields = {item["field"]: f"About {item['name']}" for item in step["inputs"]}
        post = client.post("/api/posts", json={"title": step["name"], "fields": fields}).json["id"]
        preview = client.post(f"/api/posts/{post}/steps/{step['id']}/preview").json
        assert preview["fallback"] is None, step["id"]
        assert list(preview["metadata"]["field_mapping"]) == [item["field"] for item in step["inputs"]]
    services.database.close()


def test_a_database_in_memory_serves_one_application(settings: Settings) -> None:
    database = Database("sqlite://")
    init_db(database, settings)
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM steps").scalar() == 2
    database.close()


def test_sqlite_keeps_foreign_keys_and_does_not_wait_for_the_disk(settings: Settings, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    init_db(database, settings)
    with database.reading() as session:
        pragmas = [session.connection().exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                   ("foreign_keys", "journal_mode", "synchronous")]  # fmt: skip
    assert pragmas == [1, "wal", 1]
    database.close()
    with closing(sqlite3.connect(tmp_path / "x.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM steps").fetchone() == (2,)


def test_the_loader_reads_yaml_as_people_write_it(settings: Settings) -> None:
    file = settings.workflows / STEP
    content = json.loads(file.read_text())
    content["system_prompt"] = "Line one.\n\nLine three: «é».\n"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    step = load_workflow(settings.workflows).steps[0]
    assert step.system_prompt == "Line one.\n\nLine three: «é».\n"
    assert (
        construct_prompt(step, {"seed_idea": "x"}).sections["CONTEXT"].startswith("Line one.\n\nLine three: «é».\n\n")
    )


# --- settings --------------------------------------------------------------------------------------------------------


def test_the_defaults_need_no_configuration() -> None:
    settings = Settings.from_mapping({})
    assert settings.database_url == f"sqlite:///{ROOT / 'instance' / 'blog.sqlite3'}"
    assert (settings.llm_api, settings.llm_base_url) == ("ollama-generate", "http://127.0.0.1:11434")
    assert settings == Settings()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("LLM_TIMEOT", 5, "LLM_TIMEOT is not a setting; did you mean LLM_TIMEOUT?"),
        ("COLOUR", "red", "COLOUR is not a setting"),
        ("DATABASE_URL", "no url with:secret", "DATABASE_URL is not an SQLAlchemy URL"),
        ("DATABASE_URL", 5, "DATABASE_URL = 5 is not a text"),
        (
            "LLM_API",
            "openai",
            "LLM_API = 'openai' is not known; write one of ollama-generate, ollama-chat, openai-chat",
        ),
        ("LLM_BASE_URL", "127.0.0.1:11434", "LLM_BASE_URL = '127.0.0.1:11434' is not an address"),
        ("LLM_TIMEOUT", 0, "LLM_TIMEOUT = 0 is too small; write more than 0"),
        ("LLM_TIMEOUT", "5", "LLM_TIMEOUT = '5' is not a number of seconds"),
        ("LLM_TIMEOUT", float("nan"), "LLM_TIMEOUT = nan is not a number of seconds"),
        ("LLM_BACKOFF", -1, "LLM_BACKOFF = -1 is too small; write 0 or more"),
        ("LLM_MAX_WAIT", True, "LLM_MAX_WAIT = True is not a number of seconds"),
        ("LLM_RETRIES", 1.5, "LLM_RETRIES = 1.5 is not a count"),
        ("LLM_RETRIES", -1, "LLM_RETRIES = -1 is not a count"),
        ("LLM_MODEL", " ", "LLM_MODEL = ' ' is not a text"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL = 'LOUD' is not a level"),
        ("LOG_STREAM", "stderr", "LOG_STREAM = 'stderr' cannot be written to"),
        ("LOG_SINK", [], "LOG_SINK = [] cannot be called"),
        ("WORKFLOWS", 5, "WORKFLOWS = 5 is not a text"),
        ("TESTING", "yes", "TESTING = 'yes' is neither true nor false"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_value_and_a_remedy(key: str, value: object, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        create_app({key: value})
    assert "secret" not in str(caught.value)


def test_every_wrong_setting_is_reported_at_once() -> None:
    with pytest.raises(SettingsError, match=r"LLM_API.*; LLM_TIMEOUT"):
        Settings.from_mapping({"LLM_API": "x", "LLM_TIMEOUT": -1})


def test_right_settings_are_taken_over() -> None:
    events: list[object] = []
    settings = Settings.from_mapping(
        {"LLM_MODEL": None, "LOG_LEVEL": "debug", "WORKFLOWS": "w", "POSTS": Path("p"), "LLM_TIMEOUT": 3,
         "TESTING": True, "LOG_SINK": events.append, "LOG_STREAM": io.StringIO()}
    )  # fmt: skip
    assert (settings.llm_model, settings.log_level, settings.workflows) == (None, "DEBUG", Path("w"))
    assert settings.llm_timeout == 3.0
    assert create_app(settings).testing


def test_the_environment_is_read_where_the_entry_point_says_so() -> None:
    environ = {
        "BLOG_LLM_RETRIES": "5",
        "BLOG_LLM_TIMEOUT": "1.5",
        "BLOG_LLM_API": "openai-chat",
        "BLOG_PORT": "tcp",
        "LLM_MODEL": "x",
    }
    settings = Settings.from_environ(environ)
    assert settings == replace(Settings(), llm_retries=5, llm_timeout=1.5, llm_api="openai-chat")
    with pytest.raises(SettingsError, match="BLOG_LLM_RETRIES = 'many' is not a number"):
        Settings.from_environ({"BLOG_LLM_RETRIES": "many"})
    with pytest.raises(SettingsError, match=r"BLOG_LLM_RETRIES = 'many' is not a number; .*LLM_API"):
        Settings.from_environ({"BLOG_LLM_RETRIES": "many", "BLOG_LLM_API": "telepathy"})


def test_the_wsgi_entry_point_is_configured_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("BLOG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BLOG_DATABASE_URL", f"sqlite:///{tmp_path / 'wsgi.sqlite3'}")
    application = runpy.run_module("app.wsgi")["application"]
    services = application.extensions["blog"]
    assert services.settings.database_url.endswith("wsgi.sqlite3")
    services.database.close()


def test_the_package_offers_two_names() -> None:
    assert application_package.create_app is create_app
    assert application_package.__version__ == "2.0.0"
    assert application_package.__all__ == ["__version__", "create_app"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(application_package, "nothing")  # noqa: B009  # mypy knows that it is not there
