"""How many pictures a benchmark has: results on fewer or more of them compare with nobody's."""


def check_count(what: str, found: int, wanted: int) -> None:
    """Refuse another number of pictures than the benchmark has.

    Args:
        what: the list that names them or the folder that has them, with that word, for the message.
        found: how many are there.
        wanted: how many the benchmark has.

    Raises:
        ValueError: with both numbers.
    """
    if found != wanted:
        raise ValueError(
            f"{what} {found} pictures; the benchmark has {wanted}, so results would not compare. Copy it again, or "
            "set `check: false` for other data in this layout."
        )
