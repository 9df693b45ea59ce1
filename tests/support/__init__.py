"""What several test suites share: polling, kubectl, in-cluster helper pods."""
