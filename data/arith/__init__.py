"""The embedded world: word problems whose every step can be checked, and the small model that solves them."""
