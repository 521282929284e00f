"""Whole studies; they only compose what is below."""
