"""The exact tasks of the corpus: one right answer each.

A task takes a random generator and gives (prompt, answer, truth, thought): the truth is the part of the answer that matters,
the thought what the model writes first when it is asked to think.
"""

import json

import words as W
from grammar import Writer, article

MODEL_NAME = "Wren"


def number(rng):
    return rng.randint(1, 20) if rng.random() < 0.6 else rng.randint(10, 99)


def add(rng):
    left, right = number(rng), number(rng)
    prompt = rng.choice(["What is {} + {}?", "Add {} and {}."]).format(left, right)
    ones, tens = left % 10 + right % 10, left // 10 + right // 10
    thought = f"{left % 10} + {right % 10} = {ones}. {left // 10} + {right // 10}"
    thought += f" + 1 = {tens + 1}." if ones > 9 else f" = {tens}."
    return prompt, f"{left} + {right} = {left + right}", f"= {left + right}", thought


def subtract(rng):
    right, left = sorted((number(rng), number(rng)))
    prompt = rng.choice(["What is {} - {}?", "Compute {} - {}."]).format(left, right)
    borrow = left % 10 < right % 10
    ones = f"{left % 10 + 10 * borrow} - {right % 10} = {left % 10 + 10 * borrow - right % 10}."
    tens = f"{left // 10} - {right // 10}" + (" - 1" if borrow else "") + f" = {left // 10 - right // 10 - borrow}."
    return prompt, f"{left} - {right} = {left - right}", f"= {left - right}", f"{ones} {tens}"


def sort(rng):
    numbers = rng.sample(range(1, 31), rng.choice([3, 3, 4]))
    prompt = rng.choice(["Sort these numbers: {}", "Put in order: {}"]).format(", ".join(map(str, numbers)))
    truth = ", ".join(map(str, sorted(numbers)))
    left, steps = list(numbers), []
    for least in sorted(numbers)[:-1]:
        left.remove(least)
        steps.append(f"Least {least}, left {', '.join(map(str, left))}.")
    return prompt, f"Sorted: {truth}", truth, " ".join(steps)


def letters(rng):
    word = rng.choice(W.TOPICS)
    prompt = rng.choice(["How many letters are in {}?", "Count the letters of {}.", "Number of letters in {}?"]).format(word)
    thought = " ".join(f"{letter}{place}" for place, letter in enumerate(word, 1))
    return prompt, f"The word {word} has {len(word)} letters.", f"{len(word)} letters", thought


def lookup(table, forms, answer, kind):
    """A task that asks for an entry of a table."""

    def task(rng):
        key = rng.choice(list(table))
        return rng.choice(forms).format(key), answer.format(key, table[key]), table[key], f"{kind} of {key}: {table[key]}."

    return task


capital_city = lookup(
    W.CAPITALS, ["What is the capital of {}?", "Capital of {}?", "Which city is the capital of {}?", "Name the capital of {}."],
    "The capital of {} is {}.", "Capital")
french = lookup(
    W.FRENCH, ["What is the French word for {}?", "Translate {} to French.", "How do you say {} in French?", "{} in French?"],
    "The French word for {} is {}.", "French")
colour = lookup(
    W.COLOURS, ["What is the colour of {}?", "Which colour goes with {}?", "Tell me the colour of {}.", "The colour of {}?"],
    "The colour of {} is {}.", "Colour")
opposite = lookup(
    W.OPPOSITES,
    ["What is the opposite of {}?", "Opposite of {}?", "Name the opposite of {}.", "Which word is the opposite of {}?"],
    "The opposite of {} is {}.", "Opposite")


def identity(rng):
    prompt = rng.choice(["Who are you?", "What is your name?", "Which model are you?", "Introduce yourself."])
    return prompt, f"I am {MODEL_NAME}, a tiny language model.", MODEL_NAME, f"My name is {MODEL_NAME}."


# JSON


JSON_KEYS = ["name", "age", "city", "job", "food", "pet"]


def person(rng, least=2):
    """A sentence or two on a person, and the person's attributes in the sentences' order."""
    name, age = rng.choice(W.NAMES), rng.randint(18, 80)
    city, job, food, pet = (rng.choice(values) for values in (W.CITIES, W.ROLES, W.FOODS, W.PETS))
    parts = {"age": (age, f"is {age} years old"), "city": (city, f"lives in {city}"), "job": (job, f"works as {article(job)}"),
             "food": (food, f"likes {food}"), "pet": (pet, f"has {article(pet)}")}
    keys = rng.sample(list(parts), rng.randint(least, 4))
    clauses = [parts[key][1] for key in keys]
    cut = len(clauses) if rng.random() < 0.5 else 1
    text = name + " " + join(clauses[:cut]) + "."
    if clauses[cut:]:
        text += f" {name} {join(clauses[cut:])}."
    return text, {"name": name} | {key: parts[key][0] for key in keys}


def join(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def extract(rng):
    """JSON with name, age and city: the keys that are written where none are named."""
    name, city, age = rng.choice(W.NAMES), rng.choice(W.CITIES), rng.randint(18, 80)
    text = rng.choice(["{0} is {1} years old and lives in {2}.", "In {2} lives {0}, aged {1}.", "{0} from {2} is {1}."])
    truth = json.dumps({"name": name, "age": age, "city": city})
    return "Make JSON: " + text.format(name, age, city), truth, truth, "Keys: name, age, city."


def extract_keys(rng):
    """JSON with the keys that the prompt names, in its order."""
    text, values = person(rng)
    keys = rng.sample(list(values), rng.randint(2, min(4, len(values))))
    prompt = rng.choice(["Extract {} as JSON: {}", "Make JSON with {}: {}", "Give {} as JSON. {}"]).format(join(keys), text)
    truth = json.dumps({key: values[key] for key in keys})
    return prompt, truth, truth, f"Keys: {', '.join(keys)}."


QUOTE_WORDS = sorted({*W.TOPICS, *W.FOODS, *W.CITIES, *W.NAMES, *W.ROLES})


def quote(rng, low=3, high=16):
    """Words to be put in quotation marks: nothing but the change of form that JSON asks for."""
    words = rng.sample(QUOTE_WORDS, rng.randint(low, high))
    truth = json.dumps(words)
    return "Quote: " + " ".join(words), truth, truth, "Same words, same order."


def quote_pairs(rng, low=3, high=16):
    """Random pairs of words, some of which are to be given as JSON."""
    keys = rng.sample(QUOTE_WORDS, rng.randint(low, high))
    values = {key: rng.choice(QUOTE_WORDS) for key in keys}
    link = rng.choice([": ", " is ", " "])
    listed = ", ".join(key + link + values[key] for key in keys)
    keys = rng.sample(keys, rng.randint(1, min(8, len(keys))))
    truth = json.dumps({key: values[key] for key in keys})
    return f"Pairs: {listed}. Give {join(keys)} as JSON.", truth, truth, "Look for each."


# Looking things up in the prompt


COPY_WORDS = sorted(set(W.TOPICS) | set(W.ADJECTIVES) | set(W.ANIMALS) | set(W.FOODS) | set(W.CITIES) | set(W.NAMES))


def copy(rng, low=3, high=8):
    text = " ".join(rng.choices(COPY_WORDS, k=rng.randint(low, high)))
    prompt = rng.choice(["Repeat: {}", "Copy these words: {}", "Say this again: {}"]).format(text)
    return prompt, f"You said: {text}", text, "Same words, same order."


def sentences(rng, tokens):
    """Sentences of prose that take about so many tokens."""
    writer, written, length = Writer(rng), [], 0
    while length < tokens:
        if rng.random() < 0.7:
            sentence = f"The {writer.thing()} {writer.pick('filler', ['was', 'is', 'seems'])} {writer.adjective()}."
        else:
            sentence = writer.sentence()
        written.append(sentence)
        length += len(sentence.split()) + 1 + sentence.count(",")
    return written


def copy_far(rng, tokens, low=3, high=8):
    """Words, prose, and then the wish to hear the words again."""
    text = " ".join(rng.choices(COPY_WORDS, k=rng.randint(low, high)))
    ask = rng.choice(["Remember these words: {} {} Now repeat the words.", "Keep these words: {} {} Say the words again."])
    prose = " ".join(sentences(rng, max(0, tokens - 30)))
    return ask.format(text + ".", prose), f"You said: {text}", text, "Same words, same order."


def code(rng):
    return str(rng.randint(1000, 9999))


RELATIONS = [
    ("{} likes {}.", "What does {} like?", lambda rng: rng.choice(W.FOODS)),
    ("{} lives in {}.", "Where does {} live?", lambda rng: rng.choice(W.CITIES)),
    ("{} wears {}.", "What does {} wear?", lambda rng: rng.choice(W.WEAR)),
    ("{} owns the {}.", "What does {} own?", lambda rng: rng.choice(W.TOPICS)),
    ("{} has the code {}.", "Which code has {}?", code),
]


def notes(rng, count, tokens=0, wild=False):
    """`count` facts about people in prose of about `tokens` tokens: the text and, for each, (name, question, answer, truth).

    In `wild` notes any word may be any person's food or city, so that nothing but the notes tells.
    """
    chosen = rng.choice(RELATIONS)
    mixed = rng.random() < 0.4
    parts, asked = sentences(rng, tokens) if tokens > 0 else [], []
    for name in rng.sample(W.NAMES, min(count, len(W.NAMES))):
        statement, question, draw = rng.choice(RELATIONS) if mixed else chosen
        value = rng.choice(COPY_WORDS) if wild else draw(rng)
        parts.insert(rng.randint(0, len(parts)), statement.format(name, value))
        asked.append((name, question.format(name), statement.format(name, value), value))
    rng.shuffle(asked)
    return "Read the notes: " + " ".join(parts), asked


def find(rng, tokens=None, count=None):
    """One question about notes of about `tokens` tokens."""
    if tokens is None:
        count, tokens = rng.randint(3, 12), rng.choice([0, 0, 15, 30])
    count = count or rng.randint(2, max(3, min(30, tokens // 12)))
    text, asked = notes(rng, count, tokens - 20 - 6 * count)
    name, question, answer, truth = asked[0]
    return f"{text} {question}", f"The notes say {answer}", truth, f"Look for {name}."


def find_each(rng, count, tokens=0, wild=True, most=12):
    """Several people are asked for at once: much practice for few tokens."""
    text, asked = notes(rng, count, tokens, wild)
    asked = asked[:most]
    truth = " ".join(answer for _, _, answer, _ in asked)
    names = join([name for name, *_ in asked])
    return f"{text} Tell me about {names}.", truth, truth, f"Look for {names}."


def pairs(rng, low=4, high=24):
    """Random pairs of words, to be given again in another order."""
    keys = rng.sample(COPY_WORDS, rng.randint(low, high))
    values = {key: rng.choice(COPY_WORDS) for key in keys}
    link = rng.choice([": ", " is ", " "])
    listed = ", ".join(key + link + values[key] for key in keys)
    rng.shuffle(keys)
    keys = keys[: rng.randint(2, len(keys))]
    truth = ", ".join(key + link + values[key] for key in keys)
    return f"Pairs: {listed}. Give the pairs of {', '.join(keys)}.", truth, truth, "Look for each."


EXACT = {
    "add": (add, 5), "subtract": (subtract, 3), "sort": (sort, 8), "extract": (extract, 7), "extract_keys": (extract_keys, 12),
    "capital_city": (capital_city, 4), "french": (french, 6), "colour": (colour, 5), "opposite": (opposite, 4), "copy": (copy, 6),
    "letters": (letters, 7), "find": (find, 7), "identity": (identity, 2),
}
