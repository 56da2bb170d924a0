"""Run folders looked at from outside: lists and curves of several, live displays, advice on what to try next."""
