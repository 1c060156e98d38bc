"""A grammar of spoken commands for a house, in English with the Spanish for each: templates and the values of slots.

`{slot}` in a template stands for a value. Both sides are in lower case and without accents beyond what Spanish needs.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Pair = tuple[str, str]  # English, Spanish
_PLACE = re.compile(r"\{(\w+)\}")

NUMBERS: list[Pair] = [
    ("five", "cinco"), ("six", "seis"), ("seven", "siete"), ("eight", "ocho"), ("nine", "nueve"), ("ten", "diez"),
    ("eleven", "once"), ("twelve", "doce"), ("twenty", "veinte"), ("twenty one", "veintiuno"), ("thirty", "treinta"),
]  # fmt: skip
SLOTS: Mapping[str, Sequence[Pair]] = {
    "device": [
        ("lamp", "la lámpara"), ("light", "la luz"), ("heater", "el calentador"), ("fan", "el ventilador"),
        ("coffee machine", "la cafetera"), ("ceiling light", "la luz del techo"), ("radio", "la radio"),
    ],
    "room": [
        ("kitchen", "la cocina"), ("bathroom", "el baño"), ("living room", "la sala"), ("office", "la oficina"),
        ("garden", "el jardín"), ("hall", "el pasillo"), ("guest room", "la habitación de invitados"),
    ],
    "degrees": NUMBERS,
    "minutes": NUMBERS,
    "hour": NUMBERS[:8],
    "day": [
        ("today", "hoy"), ("tomorrow", "mañana"), ("on monday", "el lunes"), ("on friday", "el viernes"),
        ("on sunday", "el domingo"), ("next week", "la próxima semana"),
    ],
    "part_of_day": [
        ("in the morning", "de la mañana"), ("in the evening", "de la noche"), ("in the afternoon", "de la tarde"),
    ],
    "person": [
        ("my sister", "mi hermana"), ("my brother", "mi hermano"), ("anna", "anna"), ("doctor vale", "la doctora vale"),
        ("grandma", "la abuela"), ("tom", "tom"), ("may", "may"),
    ],
    "genre": [
        ("jazz", "jazz"), ("slow music", "música lenta"), ("folk songs", "canciones populares"), ("opera", "ópera"),
    ],
    "artist": [
        ("nora vale", "nora vale"), ("the tin foxes", "the tin foxes"), ("anna may", "anna may"),
        ("seven rooms", "seven rooms"),
    ],
    "item": [
        ("milk", "leche"), ("green tea", "té verde"), ("bread", "pan"), ("a lamp", "una lámpara"),
        ("two radios", "dos radios"),
    ],
    "list": [("shopping", "compras"), ("kitchen", "cocina"), ("birthday", "cumpleaños")],
    "weather": [("rain", "llover"), ("snow", "nevar"), ("be cold", "hacer frío"), ("be sunny", "hacer sol")],
    "city": [
        ("lima", "lima"), ("new haven", "new haven"), ("granada", "granada"), ("sunday harbour", "sunday harbour"),
    ],
}  # fmt: skip
INTENTS: Mapping[str, Sequence[Pair]] = {
    "turn_on": [
        ("turn on the {device} in the {room}", "enciende {device} de {room}"),
        ("turn the {room} {device} on", "enciende {device} de {room}"),
        ("i need the {device} {day}", "necesito {device} {day}"),
    ],
    "turn_off": [
        ("turn off the {device} in the {room}", "apaga {device} de {room}"),
        ("turn the {room} {device} off", "apaga {device} de {room}"),
        ("no {device} {day}", "sin {device} {day}"),
    ],
    "set_temperature": [
        ("set the {room} to {degrees} degrees", "pon {room} a {degrees} grados"),
        ("make it {degrees} degrees in the {room} {day}", "que haya {degrees} grados en {room} {day}"),
    ],
    "set_timer": [
        ("set a timer for {minutes} minutes", "pon un temporizador de {minutes} minutos"),
        ("turn off the {device} in {minutes} minutes", "apaga {device} en {minutes} minutos"),
    ],
    "set_alarm": [
        ("wake me {day} at {hour} {part_of_day}", "despiértame {day} a las {hour} {part_of_day}"),
        (
            "set an alarm at {hour} {part_of_day} for {person}",
            "pon una alarma a las {hour} {part_of_day} para {person}",
        ),
    ],
    "play_music": [
        ("play {genre} by {artist} in the {room}", "pon {genre} de {artist} en {room}"),
        ("play {artist}", "pon {artist}"),
        ("{genre} {day} at {hour}", "{genre} {day} a las {hour}"),
    ],
    "call": [
        ("call {person} {day} at {hour}", "llama a {person} {day} a las {hour}"),
        ("call {person} from the {room}", "llama a {person} desde {room}"),
    ],
    "add_to_list": [
        ("add {item} to the {list} list", "añade {item} a la lista de {list}"),
        ("put {item} on the {list} list for {person}", "pon {item} en la lista de {list} para {person}"),
    ],
    "weather": [
        ("will it {weather} in {city} {day}", "va a {weather} en {city} {day}"),
        ("how cold is it in the {room} {day}", "qué frío hace en {room} {day}"),
    ],
}
POLITE: Sequence[Pair] = [
    ("{}", "{}"), ("please {}", "{} por favor"), ("{} please", "{} por favor"), ("hey house {}", "oye casa {}"),
]  # fmt: skip


@dataclass(frozen=True)
class Command:
    """One sentence of the grammar.

    Args:
        words: the English words.
        tags: one IOB tag a word.
        intent: what is asked for.
        spanish: the words of the translation.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    intent: str
    spanish: tuple[str, ...]


def draw(rng: np.random.Generator) -> Command:
    """A random command.

    Args:
        rng: random numbers.
    """
    intent = list(INTENTS)[int(rng.integers(len(INTENTS)))]
    english, spanish = _one(rng, INTENTS[intent])
    polite = _one(rng, POLITE)
    english, spanish = polite[0].replace("{}", english), polite[1].replace("{}", spanish)
    values = {slot: _one(rng, SLOTS[slot]) for slot in _PLACE.findall(english)}
    words: list[str] = []
    tags: list[str] = []
    for part in english.split():
        place = _PLACE.fullmatch(part)
        inside = values[place[1]][0].split() if place else [part]
        words += inside
        tags += [f"{'I' if step else 'B'}-{place[1]}" for step in range(len(inside))] if place else ["O"]
    translated = contracted(_PLACE.sub(lambda place: values[place[1]][1], spanish))
    return Command(tuple(words), tuple(tags), intent, tuple(translated.split()))


def _one(rng: np.random.Generator, pairs: Sequence[Pair]) -> Pair:
    return pairs[int(rng.integers(len(pairs)))]


def contracted(spanish: str) -> str:
    """Spanish with `del` and `al` for `de el` and `a el`.

    Args:
        spanish: the words.
    """
    return re.sub(r"\bde el\b", "del", re.sub(r"\ba el\b", "al", spanish))


def all_words(side: int) -> list[str]:
    """Every word that the grammar can say, in order of the alphabet.

    Args:
        side: 0 for English, 1 for Spanish.
    """
    pairs = [pair for pairs in (*INTENTS.values(), *SLOTS.values(), POLITE) for pair in pairs]
    found = {word for pair in pairs for word in pair[side].split() if not word.startswith("{")}
    return sorted(found | ({"del", "al"} if side else set()))
