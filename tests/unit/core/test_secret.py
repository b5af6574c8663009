from streamswarm_core.secret import SecretKind, hash_secret, new_secret, secret_matches


def test_secrets_differ_say_what_they_are_and_are_compared_by_hash() -> None:
    first, second = new_secret(SecretKind.AGENT), new_secret(SecretKind.AGENT)
    assert first != second
    assert first.startswith("ssa_")
    assert secret_matches(first, hash_secret(first))
    assert not secret_matches(second, hash_secret(first))
