"""Programs that review minibert from outside, as its users, and write what they found."""
