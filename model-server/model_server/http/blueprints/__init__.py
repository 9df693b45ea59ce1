"""The URLs: one blueprint per protocol."""

from flask import Flask
from werkzeug.routing import BaseConverter

from model_server.http.blueprints import articles, documents, health, pages, v1, v2


class ModelName(BaseConverter):
    """A model name in a URL; excludes the colon of `:predict`."""

    regex = r"[^/:]+"


def register_blueprints(app: Flask) -> None:
    """Registers all URLs."""
    app.url_map.converters["model"] = ModelName
    app.register_blueprint(health.blueprint)
    app.register_blueprint(articles.blueprint)
    app.register_blueprint(documents.blueprint)
    app.register_blueprint(v1.blueprint)
    app.register_blueprint(v2.blueprint)
    app.register_blueprint(pages.blueprint)
