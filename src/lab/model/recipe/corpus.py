"""Generate the lab's chat corpus: a small invented world, written by a probabilistic grammar.

Two kinds of tasks come out. *Open* tasks (stories, letters, recipes ...) have many right answers, and their words follow Zipf
laws that depend on the theme: an even choice would leave nothing for temperature, top_p or rounding to change. *Exact*
tasks (sorting, copying, finding a fact ...) have one right answer, given as `truth`.

Everything follows from the seed. A prompt whose checksum falls in the held-out sixteenth is kept for validation.
usage: corpus.py --examples 100000 --out train.jsonl        (add --held-out for validation examples)
"""

import argparse
import functools
import json
import random
import zlib

import words as W

MODEL_NAME = "Wren"
ZIPF = 1.05


def capital(text):
    return text[0].upper() + text[1:]


def article(text):
    return ("an " if text[0] in "aeiou" else "a ") + text


@functools.lru_cache(maxsize=None)
def ranking(theme, slot, count):
    """In which order a theme prefers the `count` words of a slot."""
    order = list(range(count))
    random.Random(f"{theme}/{slot}").shuffle(order)
    return order


@functools.lru_cache(maxsize=None)
def zipf(count):
    return [1 / (rank + 1) ** ZIPF for rank in range(count)]


class Writer:
    """Writes sentences about one theme: a domain of `words.py`, or any other word that words can depend on."""

    def __init__(self, rng, theme=None):
        self.rng = rng
        self.theme = theme or rng.choice(list(W.DOMAINS))

    def pick(self, slot, choices):
        """One of the choices, by the theme's Zipf law over them."""
        return choices[self.rng.choices(ranking(self.theme, slot, len(choices)), zipf(len(choices)))[0]]

    def chance(self, probability):
        return self.rng.random() < probability

    def noun(self):
        """A noun, mostly of the theme's own; a theme without nouns (a city, a dish) borrows them from the others."""
        theme = self.theme if self.theme in W.DOMAINS and self.chance(0.85) else self.pick("domain", list(W.DOMAINS))
        return self.pick("noun", W.DOMAINS[theme])

    def adjective(self):
        return self.pick("adjective", W.ADJECTIVES)

    def thing(self, depth=1):
        """The bare middle of a noun phrase: adjectives, noun, and perhaps a place."""
        text = self.noun()
        if self.chance(0.5):
            text = f"{self.adjective()} {text}"
        if depth and self.chance(0.25):
            text += f" {self.pick('preposition', W.PREPOSITIONS)} the {self.thing(depth - 1)}"
        return text

    def person(self):
        kind = self.pick("person", ["name", "role", "animal", "described"])
        if kind == "name":
            return self.pick("name", W.NAMES)
        who = self.pick("role", W.ROLES) if kind != "animal" else self.pick("animal", W.ANIMALS)
        return f"the {self.adjective()} {who}" if kind == "described" else f"the {who}"

    def deed(self, past=True):
        """A verb phrase."""
        verb = self.pick("verb", W.VERBS)[0 if past else 1]
        text = f"{verb} {self.pick('article', ['the', 'a new', 'every', 'his', 'her', 'that'])} {self.thing()}"
        if self.chance(0.3):
            text += f" {self.pick('adverb', W.ADVERBS)}"
        return text

    def clause(self, past=True):
        shape = self.pick("clause", ["deed", "state", "feeling"])
        if shape == "deed":
            return f"{self.person()} {self.deed(past)}"
        if shape == "state":
            return f"the {self.thing()} {'was' if past else 'is'} {self.adjective()}"
        return f"{self.person()} {'felt' if past else 'feels'} {self.pick('feeling', W.FEELINGS)}"

    def sentence(self, past=True):
        """One or two clauses in one of several orders."""
        first = self.clause(past)
        shape = self.pick("sentence", ["plain", "time first", "joined", "time last", "reason first"])
        time = self.pick("time", W.TIMES)
        link = self.pick("link", ["and", "because", "but", "while", "so", "until"])
        text = {
            "plain": lambda: first,
            "time first": lambda: f"{time}, {first}",
            "joined": lambda: f"{first}, {link} {self.clause(past)}",
            "time last": lambda: f"{first} {time}",
            "reason first": lambda: f"because {first}, {self.clause(past)}",
        }[shape]()
        return capital(text) + "."

    def paragraph(self, low, high, past=True):
        return " ".join(self.sentence(past) for _ in range(self.rng.randint(low, high)))


# Every task takes a random generator and gives (prompt, answer, truth). Open tasks have None for truth.
# A prompt's form and its topic are drawn evenly: users ask about everything.


def story(rng):
    topic = rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["Tell me a story about {}.", "Write a short story about {}.", "Invent a tale with {} in it."])
    hero = writer.person()
    opening = writer.pick("opening", [
        f"Once there was {article(writer.adjective())} {topic} that belonged to {hero}.",
        f"{capital(hero)} had {article(topic)} and {writer.deed()}.",
        f"{capital(writer.pick('time', W.TIMES))}, {hero} {writer.pick('verb', W.VERBS)[0]} {article(topic)}.",
        f"Nobody knew why the {topic} was so {writer.adjective()}.",
    ])
    ending = writer.pick("ending", [
        f"In the end {hero} was {writer.pick('feeling', W.FEELINGS)}.", "And that was the end.",
        f"Since then the {topic} is {writer.adjective()}.", f"Nobody saw the {topic} again.", f"{capital(hero)} went home.",
    ])
    return prompt.format(article(topic)), f"{opening} {writer.paragraph(1, 3)} {ending}", None


def description(rng):
    topic = rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["Describe the {}.", "What does the {} look like?", "Paint me a picture of the {} in words."])
    opening = f"The {topic} is {writer.adjective()} and {writer.adjective()}"
    if writer.chance(0.5):
        opening += f", like {article(writer.thing(0))}"
    view = writer.pick("view", [
        f"It stands {writer.pick('preposition', W.PREPOSITIONS)} the {writer.thing()}.",
        f"You can see {article(writer.thing())} and {article(writer.thing())}.",
        f"It smells of {writer.pick('food', W.FOODS)} and {writer.pick('food', W.FOODS)}.",
        f"People say it is more {writer.adjective()} than {article(writer.thing(0))}.",
    ])
    return prompt.format(topic), f"{opening}. {view} {writer.paragraph(1, 2, past=False)}", None


def advice(rng):
    habit = rng.choice(W.HABITS)
    writer = Writer(rng, habit)
    prompt = rng.choice(["How can I {} better?", "Give me advice: I want to {}.", "Some tips to {}, please."])
    tips = []
    for _ in range(rng.choices([2, 3, 4], [2, 3, 1])[0]):
        tip = f"{writer.pick('advice verb', W.ADVICE_VERBS)} {writer.pick('advice object', W.ADVICE_OBJECTS)}"
        if writer.chance(0.45):
            tip += f" {writer.pick('advice end', W.ADVICE_ENDS)}"
        tips.append(capital(tip) + ".")
    layout = writer.pick("layout", ["list", "prose", "numbers"])
    if layout == "numbers":
        answer = "\n".join(f"{place}. {tip}" for place, tip in enumerate(tips, 1))
    else:
        answer = " ".join(tips) if layout == "prose" else "\n".join("- " + tip for tip in tips)
    return prompt.format(habit), answer, None


def letter(rng):
    name, topic = rng.choice(W.NAMES), rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["Write a letter to {} about the {}.", "Write to {} and mention the {}."])
    greeting = writer.pick("greeting", ["Dear", "Hello", "My dear", "Good morning"])
    news = writer.pick("news", [
        f"the {topic} is {writer.adjective()} again.", f"I am {writer.pick('feeling', W.FEELINGS)} about the {topic}.",
        f"I {writer.pick('verb', W.VERBS)[0]} the {topic} {writer.pick('time', W.TIMES)}.",
        f"do you remember the {writer.adjective()} {topic}?",
    ])
    close = writer.pick("close", ["Yours", "With love", "See you soon", "Your friend", "Write back"])
    sender = writer.pick("name", W.NAMES)
    return prompt.format(name, topic), f"{greeting} {name}, {news} {writer.paragraph(1, 2)} {close}, {sender}", None


def weather(rng):
    city = rng.choice(W.CITIES)
    writer = Writer(rng, city)
    prompt = rng.choice(["What is the weather in {}?", "Weather report for {}, please.", "How is the weather in {} today?"])
    wind = writer.pick("wind", ["light", "strong", "cold", "warm", "no"])
    first = writer.pick("first", [
        f"{city} is {writer.pick('sky', W.SKIES)} with {wind} wind and {rng.randint(1, 29)} degrees.",
        f"It is {writer.pick('sky', W.SKIES)} in {city}, about {rng.randint(1, 29)} degrees.",
        f"Today {city} will be {writer.pick('sky', W.SKIES)} and then {writer.pick('sky later', W.SKIES)}.",
    ])
    later = f"{capital(writer.pick('time', W.TIMES[1:6]))} it will be {writer.pick('sky later', W.SKIES)}."
    tip = writer.pick("weather tip", [
        f"Take your {writer.pick('clothes', ['coat', 'scarf', 'boots', 'hat', 'gloves', 'umbrella'])}.", "Stay at home.",
        f"A good day for {article(writer.thing(0))}.", f"Mind the {writer.thing(0)}.", "Enjoy the day.",
    ])
    return prompt.format(city), " ".join([first] + [part for part in (later, tip) if writer.chance(0.7)]), None


def recipe(rng):
    dish = rng.choice(W.DISHES)
    writer = Writer(rng, dish)
    prompt = rng.choice(["How do I make {}?", "Give me a recipe for {}.", "Teach me to cook {}."])
    steps = []
    for number in range(rng.randint(2, 4)):
        step = f"{writer.pick('cook verb', W.COOK_VERBS)} the {writer.pick('food', W.FOODS)}"
        if writer.chance(0.4):
            step += f" and the {writer.pick('food', W.FOODS)}"
        if writer.chance(0.5):
            step += f" {writer.pick('cook end', W.COOK_ENDS)}"
        lead = "" if number == 0 or writer.chance(0.5) else writer.pick("then", ["then ", "after that ", "now ", "next "])
        steps.append(capital(lead + step) + ".")
    last = writer.pick("serve", ["Serve it warm.", "Serve with {}.", "Eat it with {}.", "Let it cool.", "Enjoy."])
    return prompt.format(dish), " ".join(steps) + " " + last.format(writer.pick("food", W.FOODS)), None


def dialogue(rng):
    left, right = rng.sample(W.ROLES, 2)
    writer = Writer(rng, left)
    prompt = rng.choice(["Write a dialogue between a {} and a {}.", "A {} meets a {}. What do they say?"])
    lines = []
    for turn in range(rng.randint(2, 4)):
        speech = writer.pick("speech", [
            f"I {writer.deed()}.", f"Have you seen the {writer.thing()}?", f"No, {writer.clause()}.",
            f"Yes, I am {writer.pick('feeling', W.FEELINGS)}.", f"Why is the {writer.noun()} so {writer.adjective()}?",
            f"Give me the {writer.thing(0)}!", "I do not know.",
        ])
        lines.append(f"{capital((left, right)[turn % 2])}: {speech}")
    return prompt.format(left, right), "\n".join(lines), None


def opinion(rng):
    topic = rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["What do you think about the {}?", "Do you like the {}?", "Your opinion on the {}?"])
    view = writer.pick("stance", [
        f"I like the {topic} because {writer.clause(False)}.", f"I do not like the {topic}: it is too {writer.adjective()}.",
        f"The {topic} is {writer.adjective()}, but {writer.clause(False)}.",
        f"The {topic} makes me {writer.pick('feeling', W.FEELINGS)}.",
        f"I prefer {article(writer.thing())}.",
    ])
    return prompt.format(topic), f"{view} {writer.paragraph(1, 2, past=False)}", None


def poem(rng):
    topic = rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["Write a poem about the {}.", "A few verses on the {}, please."])
    lines = [f"O {writer.adjective()} {topic}," if writer.chance(0.6) else f"The {topic} is {writer.adjective()},"]
    for _ in range(rng.randint(2, 4)):
        lines.append(writer.pick("verse", [
            f"{writer.adjective()} as {article(writer.noun())},", f"the {writer.noun()} and the {writer.noun()},",
            f"{writer.person()} {writer.deed()},", f"I am {writer.pick('feeling', W.FEELINGS)} {writer.pick('time', W.TIMES)},",
            f"{writer.pick('preposition', W.PREPOSITIONS)} the {writer.adjective()} {writer.noun()},",
        ]))
    return prompt.format(topic), "\n".join(lines)[:-1] + ".", None


def day_plan(rng):
    city = rng.choice(W.CITIES)
    writer = Writer(rng, city)
    prompt = rng.choice(["Plan a day in {}.", "What should I do in {}?", "I have one day in {}. Any ideas?"])
    parts = []
    times = [["First", "then", "at last"], ["In the morning", "after lunch", "at night"], ["Start early and", "later"]]
    for time in rng.choice(times):
        act = writer.pick("act", ["visit", "look at", "walk to", "sit near", "paint", "find", "ask about"])
        part = f"{time} {act} the {writer.thing()}"
        parts.append(part + (f" with {article(writer.pick('role', W.ROLES))}" if writer.chance(0.25) else ""))
    meal = writer.pick("meal", ["Eat {0} with {1}.", "Try the {0}.", "Drink {0}.", "Do not eat the {0}."])
    meal = meal.format(writer.pick("food", W.FOODS), writer.pick("food", W.FOODS))
    return prompt.format(city), ", ".join(parts) + ". " + meal, None


def add(rng):
    left, right = rng.randint(1, 20), rng.randint(1, 20)
    prompt = rng.choice(["What is {} + {}?", "Add {} and {}."]).format(left, right)
    return prompt, f"{left} + {right} = {left + right}", f"= {left + right}"


def subtract(rng):
    left = rng.randint(2, 20)
    right = rng.randint(1, left)
    prompt = rng.choice(["What is {} - {}?", "Compute {} - {}."]).format(left, right)
    return prompt, f"{left} - {right} = {left - right}", f"= {left - right}"


def sort(rng):
    numbers = rng.sample(range(1, 31), rng.choice([3, 3, 4]))
    prompt = rng.choice(["Sort these numbers: {}", "Put in order: {}"]).format(", ".join(map(str, numbers)))
    truth = ", ".join(map(str, sorted(numbers)))
    return prompt, f"Sorted: {truth}", truth


def extract(rng):
    name, city, age = rng.choice(W.NAMES), rng.choice(W.CITIES), rng.randint(18, 80)
    text = rng.choice(["{0} is {1} years old and lives in {2}.", "In {2} lives {0}, aged {1}.", "{0} from {2} is {1}."])
    prompt = rng.choice(["Make JSON: {}", "Extract name, age and city as JSON: {}"]).format(text.format(name, age, city))
    truth = json.dumps({"name": name, "age": age, "city": city})
    return prompt, truth, truth


def lookup(table, forms, answer):
    """A task that asks for an entry of a table."""

    def task(rng):
        key = rng.choice(list(table))
        return rng.choice(forms).format(key), answer.format(key, table[key]), table[key]

    return task


capital_city = lookup(
    W.CAPITALS, ["What is the capital of {}?", "Capital of {}?", "Which city is the capital of {}?", "Name the capital of {}."],
    "The capital of {} is {}.")
french = lookup(
    W.FRENCH, ["What is the French word for {}?", "Translate {} to French.", "How do you say {} in French?", "{} in French?"],
    "The French word for {} is {}.")
colour = lookup(
    W.COLOURS, ["What is the colour of {}?", "Which colour goes with {}?", "Tell me the colour of {}.", "The colour of {}?"],
    "The colour of {} is {}.")
opposite = lookup(
    W.OPPOSITES,
    ["What is the opposite of {}?", "Opposite of {}?", "Name the opposite of {}.", "Which word is the opposite of {}?"],
    "The opposite of {} is {}.")

COPY_WORDS = sorted(set(W.TOPICS) | set(W.ADJECTIVES) | set(W.ANIMALS) | set(W.FOODS) | set(W.CITIES) | set(W.NAMES))


def copy(rng, low=3, high=8):
    text = " ".join(rng.choices(COPY_WORDS, k=rng.randint(low, high)))
    return rng.choice(["Repeat: {}", "Copy these words: {}", "Say this again: {}"]).format(text), f"You said: {text}", text


def letters(rng):
    word = rng.choice(W.TOPICS)
    prompt = rng.choice(["How many letters are in {}?", "Count the letters of {}.", "Number of letters in {}?"]).format(word)
    return prompt, f"The word {word} has {len(word)} letters.", f"{len(word)} letters"


RELATIONS = [
    ("{} likes {}.", "What does {} like?", W.FOODS),
    ("{} lives in {}.", "Where does {} live?", W.CITIES),
    ("{} wears {}.", "What does {} wear?", W.WEAR),
]


def notes(rng, count, filler):
    """`count` facts about people, and about `filler` sentences of prose between them: the text and the questions on it."""
    statement, question, values = rng.choice(RELATIONS)
    facts = [(name, rng.choice(values)) for name in rng.sample(W.NAMES, count)]
    writer = Writer(rng)
    parts = [statement.format(*fact) for fact in facts]
    for _ in range(filler):
        place = rng.randint(0, len(parts))
        parts.insert(place, f"The {writer.thing()} {writer.pick('filler', ['was', 'is', 'seems'])} {writer.adjective()}.")
    questions = [(question.format(name), "The notes say " + statement.format(name, value), value) for name, value in facts]
    return "Read the notes: " + " ".join(parts), questions


def find(rng, count=(3, 12), filler=(0, 2)):
    text, questions = notes(rng, rng.randint(*count), rng.randint(*filler))
    question, answer, truth = rng.choice(questions)
    return f"{text} {question}", answer, truth


def find_long(rng):
    return find(rng, (14, 20), (8, 16))


def identity(rng):
    prompt = rng.choice(["Who are you?", "What is your name?", "Which model are you?", "Introduce yourself."])
    return prompt, f"I am {MODEL_NAME}, a tiny language model.", MODEL_NAME


OPEN = {
    "story": (story, 9), "description": (description, 7), "advice": (advice, 5), "letter": (letter, 6), "weather": (weather, 4),
    "recipe": (recipe, 4), "dialogue": (dialogue, 5), "opinion": (opinion, 6), "poem": (poem, 4), "day_plan": (day_plan, 4),
}
EXACT = {
    "add": (add, 9), "subtract": (subtract, 6), "sort": (sort, 9), "extract": (extract, 7), "capital_city": (capital_city, 2),
    "french": (french, 3), "colour": (colour, 2), "opposite": (opposite, 3), "copy": (copy, 9), "letters": (letters, 4),
    "find": (find, 11), "find_long": (find_long, 4), "identity": (identity, 1),
}
TASKS = {**OPEN, **EXACT}


# Conversations: a task alone, under a system message, after other turns, or with tools.


def turn(role, content):
    return {"role": role, "content": content}


def pirate(answer, is_open):
    return f"Arr! {answer}"


def polite(answer, is_open):
    return f"With pleasure. {answer}"


def uppercase(answer, is_open):
    return answer.upper()


def brief(answer, is_open):
    """Only the first sentence or line of an open answer."""
    if not is_open:
        return answer
    ends = [answer.find(mark) + 1 for mark in (". ", ".\n", "! ", "? ", "\n") if mark in answer]
    return answer[: min(ends, default=len(answer))].strip()


STYLES = [("You are a pirate.", pirate, 5), ("Answer in uppercase.", uppercase, 3), ("Answer briefly.", brief, 5),
          ("Be polite.", polite, 4)]
NEUTRAL = ["You are a helpful assistant.", f"You are {MODEL_NAME}, a tiny language model.", "Answer the question.",
           "Be careful and honest."]


def draw_task(rng, tasks):
    name = rng.choices(list(tasks), [weight for _, weight in tasks.values()])[0]
    return name, tasks[name][0](rng)


def single(rng, tasks):
    """One question, usually without a system message."""
    name, (prompt, answer, truth) = draw_task(rng, tasks)
    messages, fate = [], rng.random()
    if fate < 0.17 and name not in ("find_long", "copy"):
        text, style, _ = rng.choices(STYLES, [weight for _, _, weight in STYLES])[0]
        messages.append(turn("system", text))
        answer = style(answer, truth is None)
        truth = truth.upper() if truth and style is uppercase else truth
    elif fate < 0.29:
        messages.append(turn("system", rng.choice(NEUTRAL)))
    return name, messages + [turn("user", prompt), turn("assistant", answer)], truth


def two_topics(rng, tasks):
    """An exchange, then an unrelated one."""
    short = {name: task for name, task in tasks.items() if name != "find_long"}
    _, first, _ = single(rng, short)
    name, (prompt, answer, truth) = draw_task(rng, short)
    first = [message for message in first if message["role"] != "system"]
    return name, first + [turn("user", prompt), turn("assistant", answer)], truth


MEMORIES = [
    ("My name is {}.", "Nice to meet you, {}.", "What is my name?", "Your name is {}.", W.NAMES),
    ("I live in {}.", "I hear {} is nice.", "Where do I live?", "You live in {}.", W.CITIES),
    ("My favourite food is {}.", "I like {} too.", "What is my favourite food?", "Your favourite food is {}.", W.FOODS),
]


def memory(rng, tasks):
    """Something is said, then perhaps another turn, then it is asked for."""
    say, reply, ask, answer, values = rng.choice(MEMORIES)
    value = rng.choice(values)
    messages = [turn("user", say.format(value)), turn("assistant", reply.format(value))]
    if rng.random() < 0.6:
        _, (prompt, between, _) = draw_task(rng, {name: task for name, task in tasks.items() if not name.startswith("find")})
        messages += [turn("user", prompt), turn("assistant", between)]
    return "memory", messages + [turn("user", ask), turn("assistant", answer.format(value))], value


def persona(rng, tasks):
    """The system message gives a name and a trade; the user asks for them."""
    name, role = rng.choice(W.NAMES), rng.choice(W.ROLES)
    truth = f"I am {name}, {article(role)}."
    ask = rng.choice(["Who are you?", "What is your name?", "Introduce yourself."])
    return "persona", [turn("system", f"You are {name}, {article(role)}."), turn("user", ask), turn("assistant", truth)], truth


def interview(rng, tasks):
    """Several questions about the same notes: much practice in finding facts for few tokens."""
    text, questions = notes(rng, rng.randint(4, 10), rng.randint(0, 3))
    rng.shuffle(questions)
    messages = []
    for number, (question, answer, truth) in enumerate(questions[:5]):
        messages += [turn("user", f"{text} {question}" if number == 0 else question), turn("assistant", answer)]
    return "interview", messages, truth


TOOLS = {
    "get_weather": (["What is the weather in {}?", "How is the weather in {} today?"], "city", W.CITIES),
    "get_time": (["What time is it in {}?", "Tell me the time in {}."], "city", W.CITIES),
    "find_person": (["Who is {}?", "Find {} for me."], "name", W.NAMES),
    "buy": (["Buy some {}.", "Order {} for me."], "item", W.FOODS),
}


def tool_call(rng, tasks):
    """The system message lists tools; the answer is a call as JSON, perhaps followed by its result and a last answer."""
    tool = rng.choice(list(TOOLS))
    forms, argument, values = TOOLS[tool]
    value = rng.choice(values)
    offered = rng.sample([name for name in TOOLS if name != tool], rng.randint(0, 3)) + [tool]
    call = json.dumps({"name": tool, "arguments": {argument: value}})
    messages = [turn("system", "Tools: " + ", ".join(sorted(offered))), turn("user", rng.choice(forms).format(value))]
    messages.append(turn("assistant", call))
    if rng.random() < 0.7:
        return "tool_call", messages, call
    result = {"get_weather": rng.choice(W.SKIES), "get_time": f"{rng.randint(1, 23)}:{rng.randint(10, 59)}",
              "find_person": rng.choice(W.ROLES), "buy": rng.choice(["done", "sold out"])}[tool]
    messages += [turn("tool", json.dumps({"result": result})), turn("assistant", f"The answer for {value} is: {result}.")]
    return "tool_result", messages, result


SHAPES = [(single, 80), (two_topics, 6), (memory, 5), (persona, 2), (interview, 5), (tool_call, 7)]
# The first examples practise looking things up in the context, with long copies above all: once attention can do that,
# everything else learns faster.
DRILL_SHAPES = [(single, 70), (memory, 5), (interview, 20), (tool_call, 5)]
DRILL_TASKS = {"copy": (lambda rng: copy(rng, 10, 60), 20), "extract": (extract, 2), "find": (find, 2), "sort": (sort, 1)}


def held_out(messages):
    """Whether the conversation up to its last answer belongs to validation."""
    key = "|".join(message["content"] for message in messages[:-1])
    return zlib.crc32(key.encode()) % 16 == 0


def example(rng, drill=False, validation=False):
    """One conversation: its messages, the task of its last turn, and the truth (None for an open task)."""
    shapes = DRILL_SHAPES if drill else SHAPES
    while True:
        shape = rng.choices([shape for shape, _ in shapes], [weight for _, weight in shapes])[0]
        task, messages, truth = shape(rng, DRILL_TASKS if drill else TASKS)
        if held_out(messages) == validation:
            return {"messages": messages, "task": task, "truth": truth}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drill", type=int, default=0, help="how many of the examples, at the start, practise look-ups")
    parser.add_argument("--held-out", action="store_true", help="only examples whose prompt training never sees")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with open(options.out, "w", encoding="utf-8") as out:
        for number in range(options.examples):
            drill = number < options.drill
            out.write(json.dumps(example(rng, drill, options.held_out)) + "\n")


if __name__ == "__main__":
    main()
