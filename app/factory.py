"""Puts an application together. Nothing is shared between two applications in one process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click
from flask import Flask

from app import seed, views
from app.database import Database
from app.errors import DefinitionError
from app.logs import make_log
from app.metrics import Metrics
from app.services import Services
from app.settings import Settings
from app.workflow.llm_client import LLMClient
from app.workflow.scripts.llm_processor import RELEASE

__all__ = ["create_app"]


def create_app(config: Mapping[str, object] | Settings | None = None) -> Flask:
    """An application with `config`: the keys that app.settings.Settings knows. Raises SettingsError.

    Connects to nothing yet: database and model are used when the first request needs them.
    """
    settings = config if isinstance(config, Settings) else Settings.from_mapping(config or {})
    app = Flask(__name__, static_folder=None)
    app.config["TESTING"] = settings.testing
    app.config["MAX_CONTENT_LENGTH"] = views.MAX_BODY
    services = Services(
        settings=settings,
        database=Database(settings.database_url),
        llm=LLMClient(settings),
        metrics=Metrics(RELEASE, settings.metrics_dir),
        log=make_log(settings, RELEASE),
    )
    app.extensions[views.EXTENSION] = services
    app.register_blueprint(views.blueprint)
    views.register_error_handlers(app)
    app.cli.add_command(_init_db_command(services))
    return app


def _init_db_command(services: Services) -> click.Command:
    folder = click.Path(file_okay=False, path_type=Path)

    @click.command("init-db")
    @click.option("--workflows", type=folder, help="Folder of format templates and steps. Default: the configured one.")
    @click.option("--posts", type=folder, help="Folder of seed posts. Default: the configured one.")
    def init_db(workflows: Path | None, posts: Path | None) -> None:
        """Create the tables and load workflows and seed posts. Posts that are there stay."""
        settings = services.settings
        settings = replace(settings, workflows=workflows or settings.workflows, posts=posts or settings.posts)
        try:
            seeded = seed.init_db(services.database, settings)
        except DefinitionError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{seeded.steps} steps, {seeded.templates} format templates, {seeded.posts_added} new posts")

    return init_db
