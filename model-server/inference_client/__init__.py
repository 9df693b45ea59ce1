"""Client library and command for the model server; it never imports the server."""
