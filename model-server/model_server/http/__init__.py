"""HTTP: the Flask application, its blueprints and request handling. The only user of Flask."""
