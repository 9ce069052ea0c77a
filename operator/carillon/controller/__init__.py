"""The wiring: watches feed a store, keys go on a queue, decisions become requests. No rule of scheduling lives here."""
