"""The state machine of a Rollout: each module is one group of rules, `decide` is their order."""
