"""The HTTP side: the Flask application, its blueprints, and what surrounds a request.

The only package that imports Flask. No logic of any protocol is here.
"""
