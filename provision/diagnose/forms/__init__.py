"""The ways to show a diagnosis: a module each, all say the same. None prints; none holds a secret."""
