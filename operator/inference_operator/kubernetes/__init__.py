"""All access to the API server: credentials, requests, watches and the Lease."""
