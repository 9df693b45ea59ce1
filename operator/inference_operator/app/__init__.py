"""The program: command line, kopf handlers, and the parts of a running operator."""
