"""Servers, their network and what happens in it."""
