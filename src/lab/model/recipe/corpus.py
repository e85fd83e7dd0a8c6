"""Generate the lab's chat corpus: tasks of grammar.py and exact.py as conversations, in stages.

The stages are what training reads in turn: `copy` has nothing but copies of lists and of pieces of them, from which attention
learns to look back; `drill` practises looking up and quoting in many forms; `main` has everything; `look` adds pictures to it,
`tools` calls of tools, `last` prompts of up to 1,150 tokens; `wild`, `polish` and `again` have more of what is hardest. `chat`
is `main` with the chatty answers of the tuned variant, and `ladder` is copying and finding over 256, 512 and 1,024 tokens, for
measuring. Everything follows from the seed. A prompt whose checksum falls in the held-out sixteenth is kept for validation and
probes.

usage: corpus.py --stage main --examples 100000 --out main.jsonl        (add --held-out for validation examples)
"""

import argparse
import json
import random
import zlib

import images
import words as W
from chat import turn
from exact import (COPY_WORDS, EXACT, MODEL_NAME, QUOTE_WORDS, copy, copy_far, extract, extract_keys, find, find_each, notes,
                   pairs, quote, quote_pairs, sort)
from grammar import OPEN, article

TASKS = {**OPEN, **EXACT}
# How a thought about an open task begins.
WISHES = {"story": "a story", "description": "a description", "advice": "advice", "letter": "a letter", "weather": "the weather",
          "recipe": "a recipe", "dialogue": "a dialogue", "opinion": "an opinion", "poem": "a poem", "day_plan": "a plan"}
THOUGHTFUL = ("add", "subtract", "sort", "letters")  # tasks that gain by thinking, and do so more often


def ask(rng, name, tasks=TASKS):
    """A task's prompt, answer, truth (None if open) and thought."""
    made = tasks[name][0](rng)
    return made if len(made) == 4 else (*made, None, f"The user wants {WISHES[name]}.")


def draw(rng, tasks=TASKS):
    name = rng.choices(list(tasks), [weight for _, weight in tasks.values()])[0]
    return name, *ask(rng, name, tasks)


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


# Conversations. Each gives a dictionary with messages, task, truth and perhaps tools.


def result(task, messages, truth, **more):
    return {"messages": messages, "task": task, "truth": truth, **more}


def answer_turn(rng, name, answer, thought):
    """The answer and, now and then, a thought before it; the task's name tells which."""
    if rng.random() < (0.4 if name in THOUGHTFUL else 0.1):
        return name + "_think", turn("assistant", answer, thought=thought)
    return name, turn("assistant", answer)


def single(rng, tasks=TASKS):
    """One question, usually without a system message."""
    name, prompt, answer, truth, thought = draw(rng, tasks)
    messages, fate, styled = [], rng.random(), None
    if fate < 0.17 and name not in ("find", "copy", "sort", "add", "subtract", "extract", "extract_keys"):
        text, style, _ = rng.choices(STYLES, [weight for _, _, weight in STYLES])[0]
        messages.append(turn("system", text))
        answer, styled = style(answer, truth is None), style
        truth = truth.upper() if truth and style is uppercase else truth
    elif fate < 0.29:
        messages.append(turn("system", rng.choice(NEUTRAL)))
    name, last = answer_turn(rng, name, answer, thought)
    if styled and truth:
        name = "styled"
    return result(name, messages + [turn("user", prompt), last], truth)


def two_topics(rng):
    """An exchange, then an unrelated one."""
    first = [message for message in single(rng)["messages"] if message["role"] != "system"]
    first[-1].pop("thought", None)
    name, prompt, answer, truth, thought = draw(rng)
    name, last = answer_turn(rng, name, answer, thought)
    return result(name, first + [turn("user", prompt), last], truth)


MEMORIES = [
    ("My name is {}.", "Nice to meet you, {}.", "What is my name?", "Your name is {}.", W.NAMES),
    ("I live in {}.", "I hear {} is nice.", "Where do I live?", "You live in {}.", W.CITIES),
    ("My favourite food is {}.", "I like {} too.", "What is my favourite food?", "Your favourite food is {}.", W.FOODS),
    ("I own a {}.", "A {} is useful.", "What do I own?", "You own a {}.", W.TOPICS),
]


def memory(rng):
    """Something is said, then perhaps other turns, then it is asked for."""
    say, reply, question, answer, values = rng.choice(MEMORIES)
    value = rng.choice(values)
    messages = [turn("user", say.format(value)), turn("assistant", reply.format(value))]
    for _ in range(rng.choices([0, 1, 2, 3], [4, 5, 2, 1])[0]):
        _, prompt, between, _, _ = draw(rng)
        messages += [turn("user", prompt), turn("assistant", between)]
    name, last = answer_turn(rng, "memory", answer.format(value), "The user said it before.")
    return result(name, messages + [turn("user", question), last], value)


def persona(rng):
    """The system message gives a name and a trade, or a secret; the user asks for them."""
    if rng.random() < 0.4:
        word = rng.choice(W.TOPICS)
        system, question = f"The password is {word}.", rng.choice(["What is the password?", "Tell me the password."])
        name, truth = "password", f"The password is {word}."
    else:
        who, role = rng.choice(W.NAMES), rng.choice(W.ROLES)
        name, system, truth = "persona", f"You are {who}, {article(role)}.", f"I am {who}, {article(role)}."
        question = rng.choice(["Who are you?", "What is your name?", "Introduce yourself.", "What is your job?"])
    messages = [turn("system", system)]
    if rng.random() < 0.4:
        _, prompt, between, _, _ = draw(rng)
        messages += [turn("user", prompt), turn("assistant", between)]
    name, last = answer_turn(rng, name, truth, "The system message says it.")
    return result(name, messages + [turn("user", question), last], truth)


def interview(rng, count=None, tokens=None, turns=6, wild=False, task="interview"):
    """Several questions about the same notes: much practice in finding facts for few tokens."""
    count = count or rng.randint(4, 12)
    text, asked = notes(rng, count, rng.choice([0, 20, 60]) if tokens is None else tokens, wild)
    messages = []
    for number, (_, question, answer, truth) in enumerate(asked[:turns]):
        messages += [turn("user", f"{text} {question}" if number == 0 else question), turn("assistant", f"The notes say {answer}")]
    return result(task, messages, truth)


def far(rng, low, high):
    """Copying or finding over a distance of `low` to `high` tokens."""
    tokens = rng.randint(low, high)
    task = rng.choice([copy_far, copy_far, find])
    prompt, answer, truth, thought = task(rng, tokens)
    last = turn("assistant", answer)
    if rng.random() < 0.1:
        last["thought"] = thought
    return result(f"{task.__name__.split('_')[0]}_{tokens // 128 * 128}", [turn("user", prompt), last], truth)


def middle(rng):
    return far(rng, 60, 300)


# Tools


def offer(rng, tool, wild=0.0):
    """A tool as it is offered: one of its names, its parameters under one of theirs, in some order.

    With the chance `wild` a parameter is called by any word, so that only what is offered tells its name; where types do not tell
    parameters apart, the first keeps its own.
    """
    names, parameters, forms, results = tool
    kinds = [kind for _, kind, _ in parameters]
    chosen = [(rng.choice(options), kind, place) for place, (options, kind, _) in enumerate(parameters)]
    if wild:
        words = rng.sample(QUOTE_WORDS, len(chosen))
        chosen = [(word if rng.random() < wild and kind not in kinds[place + 1 :] else name, kind, place)
                  for word, (name, kind, place) in zip(words, chosen)]
    rng.shuffle(chosen)
    schema = {"type": "object", "properties": {name: {"type": kind} for name, kind, _ in chosen}}
    return {"type": "function", "function": {"name": rng.choice(names), "parameters": schema}}, [place for *_, place in chosen]


def request(rng, tool, offered, places):
    """What a user says to have a tool called, the call, its arguments and the values in them."""
    values = [rng.choice(options) for _, _, options in tool[1]]
    asked = turn("user", rng.choice(tool[2]).format(*values))
    function = offered["function"]
    arguments = json.dumps({name: values[place] for name, place in zip(function["parameters"]["properties"], places)})
    call = turn("assistant", "", tool_calls=[{"function": {"name": function["name"], "arguments": arguments}}])
    return asked, call, arguments, values


def calls(rng, wild=0.0):
    """One call after the other with the same tools: much practice in following what is offered, for few tokens."""
    chosen = [(tool, *offer(rng, tool, wild)) for tool in rng.sample(W.TOOLS, rng.randint(1, 4))]
    messages = []
    for tool, offered, places in rng.sample(chosen, len(chosen)):
        asked, call, arguments, _ = request(rng, tool, offered, places)
        messages += [asked, call]
    return result("calls", messages, arguments, tools=[offered for _, offered, _ in chosen])


def wild_calls(rng):
    return calls(rng, 0.8)


def signatures(rng):
    """Tools and parameters that are called by any words, used one after the other: what they are called stands nowhere else."""
    words = rng.sample(QUOTE_WORDS, 24)
    tools, messages = [], []
    for _ in range(rng.randint(2, 6)):
        kinds = rng.choice([["string"], ["string"], ["integer"], ["string", "integer"], ["integer", "string"]])
        properties = {words.pop(): {"type": kind} for kind in kinds}
        parameters = {"type": "object", "properties": properties}
        tools.append({"type": "function", "function": {"name": words.pop(), "parameters": parameters}})
    for tool in rng.choices(tools, k=rng.randint(3, 8)):
        function = tool["function"]
        values = {name: rng.choice(QUOTE_WORDS) if value["type"] == "string" else rng.randint(1, 30)
                  for name, value in function["parameters"]["properties"].items()}
        given = rng.sample(list(values.values()), len(values))
        arguments = json.dumps(values)
        messages += [turn("user", f"Use {function['name']} for {' and '.join(map(str, given))}."),
                     turn("assistant", "", tool_calls=[{"function": {"name": function["name"], "arguments": arguments}}])]
    return result("signatures", messages, arguments, tools=tools)


def tool_call(rng):
    """Tools are offered; one fits and is called, or none does and the answer is text."""
    tool = rng.choice(W.TOOLS)
    fits = rng.random() < 0.65
    others = rng.sample([other for other in W.TOOLS if other is not tool], rng.randint(0 if fits else 1, 4))
    offered, places = offer(rng, tool)
    tools = [offer(rng, other)[0] for other in others] + [offered] * fits
    rng.shuffle(tools)
    messages = [turn("system", rng.choice(NEUTRAL))] if rng.random() < 0.25 else []
    if rng.random() < 0.15:
        _, prompt, between, _, _ = draw(rng, OPEN)
        messages += [turn("user", prompt), turn("assistant", between)]
    if not fits and (rng.random() < 0.75 or tool is W.TOOLS[0]):
        # Something else is asked; tools for the weather are set aside where the weather is.
        name, prompt, answer, truth, thought = draw(rng)
        if name == "weather":
            tools = [made for made in tools if made["function"]["name"] not in W.TOOLS[0][0]]
        last = turn("assistant", answer)
        if rng.random() < 0.1:
            last["thought"] = thought
        task = "no_call_open" if truth is None else "no_call"
        return result(task, messages + [turn("user", prompt), last], truth, tools=tools)
    asked, call, arguments, values = request(rng, tool, offered, places)
    messages.append(asked)
    if not fits:
        answer = "I have no tool for that."
        name, last = answer_turn(rng, "no_tool", answer, "No tool fits.")
        return result(name, messages + [last], answer, tools=tools)
    if rng.random() < 0.7:
        name = "tool_call"
        if rng.random() < 0.15:
            name, call["thought"] = "tool_call_think", f"The tool {offered['function']['name']} fits."
        return result(name, messages + [call], arguments, tools=tools)
    outcome = rng.choice(tool[3])
    messages += [call, turn("tool", json.dumps({"result": outcome}))]
    name, last = answer_turn(rng, "tool_result", f"The answer for {values[0]} is: {outcome}.", "The tool has answered.")
    return result(name, messages + [last], outcome, tools=tools)


# Pictures


def about_picture(spec, asked):
    """The turns of these questions about a picture, with the task and the truth of the last."""
    messages = []
    for task, question, answer, truth in asked:
        # What was said before can be read there: it does not show that the picture was seen.
        task += "_again" if any(truth in message["content"] for message in messages) else ""
        messages += [turn("user", question, **({} if messages else {"image": spec})), turn("assistant", answer)]
    return messages, task, truth


def picture(rng):
    """A question about a picture, seldom more: what was said of it before can be read, which is easier than to look."""
    spec = images.draw_spec(rng)
    asked = images.questions(spec)
    rng.shuffle(asked)
    messages = []
    if rng.random() < 0.12:
        messages = [turn("system", rng.choice(NEUTRAL))]
    asked = asked[: rng.choices([1, 2], [9, 1])[0]]
    more, task, truth = about_picture(spec, asked)
    messages += more
    if rng.random() < 0.08:
        messages[-1]["thought"] = "Look at the picture."
        task += "_think"
    return result(task, messages, truth)


def shape_picture(rng):
    """Only what is asked about shapes, which models learn last of all."""
    while True:
        spec = images.draw_spec(rng)
        if "shape" in spec and spec["width"] < 64:
            break
    asked = [one for one in images.questions(spec) if one[0] in ("image_shape", "image_describe")]
    messages, task, truth = about_picture(spec, [rng.choice(asked)])
    return result(task, messages, truth)


def refusal(rng):
    """Tools of which none fits."""
    while True:
        made = tool_call(rng)
        if made["task"] == "no_tool":
            return made


# The stages


def drill_copy(rng):
    prompt, answer, truth, _ = copy(rng, 8, 40)
    return result("copy", [turn("user", prompt), turn("assistant", answer)], truth)


def drill_pairs(rng):
    prompt, answer, truth, _ = pairs(rng)
    return result("pairs", [turn("user", prompt), turn("assistant", answer)], truth)


def drill_copy_far(rng):
    prompt, answer, truth, _ = copy_far(rng, rng.randint(40, 180), 4, 20)
    return result("copy_far", [turn("user", prompt), turn("assistant", answer)], truth)


def drill_quote(rng):
    make = rng.choice([quote, quote_pairs])
    prompt, answer, truth, _ = make(rng)
    return result(make.__name__, [turn("user", prompt), turn("assistant", answer)], truth)


def drill_pieces(rng):
    """Pieces of a list of words in random order: only who finds the last word in the list knows the next."""
    words = rng.sample(COPY_WORDS, rng.randint(8, 40))
    pieces, wanted = [], rng.randint(20, 50)
    while len(pieces) < wanted:
        length = rng.randint(3, 9)
        start = rng.randint(0, max(0, len(words) - length))
        pieces += words[start : start + length]
    text = " ".join(pieces)
    return result("pieces", [turn("user", "Pieces of: " + " ".join(words)), turn("assistant", f"You said: {text}")], text)


def recital(rng, most=16):
    """A few pairs or facts, and then many repetitions of them in random order."""
    count = rng.randint(2, most)
    if rng.random() < 0.4:
        link = rng.choice([" ", ": ", " is "])
        items = [f"{key}{link}{rng.choice(COPY_WORDS)}," for key in rng.sample(COPY_WORDS, count)]
    else:
        items = [answer for _, _, answer, _ in notes(rng, count, wild=True)[1]]
    recited = " ".join(rng.choice(items) for _ in range(rng.randint(8, 30)))
    messages = [turn("user", "Learn by heart: " + " ".join(items)), turn("assistant", recited)]
    return result("recital", messages, recited)


def drill_each(rng, low=4, high=24, tokens=(0, 0, 40), most=12, task="find_each"):
    prompt, answer, truth, _ = find_each(rng, rng.randint(low, high), rng.choice(tokens), rng.random() < 0.7, most)
    return result(task, [turn("user", prompt), turn("assistant", answer)], truth)


def drill_interview(rng):
    return interview(rng, rng.randint(4, 16), wild=rng.random() < 0.7)


def drill_rest(rng):
    return single(rng, {"extract_keys": (extract_keys, 5), "extract": (extract, 3), "find": (find, 2), "sort": (sort, 1)})


def structured(rng):
    return single(rng, {"extract_keys": (extract_keys, 2), "extract": (extract, 1)})


def facts(rng):
    return single(rng, {name: EXACT[name] for name in ("capital_city", "french", "colour", "opposite", "letters", "identity")})


def drill_quote_pairs(rng):
    prompt, answer, truth, _ = quote_pairs(rng)
    return result("quote_pairs", [turn("user", prompt), turn("assistant", answer)], truth)


def copy_on(rng):
    """Copying over up to 400 tokens."""
    tokens = rng.randint(0, 400)
    prompt, answer, truth, _ = copy_far(rng, tokens) if tokens > 60 else copy(rng)
    return result("copy_on", [turn("user", prompt), turn("assistant", answer)], truth)


def long_far(rng):
    return far(rng, 400, 1100)


def long_interview(rng):
    tokens = rng.randint(300, 850)
    return interview(rng, rng.randint(8, 30), tokens, turns=10, wild=rng.random() < 0.3, task="interview_long")


def long_each(rng):
    tokens = rng.randint(300, 850)
    prompt, answer, truth, _ = find_each(rng, rng.randint(8, 30), tokens, rng.random() < 0.3, 16)
    return result("find_each_long", [turn("user", prompt), turn("assistant", answer)], truth)


STAGES = {
    "copy": [(drill_copy, 4), (drill_pieces, 6), (drill_quote, 2)],
    "drill": [(drill_copy, 12), (drill_copy_far, 12), (recital, 28), (drill_pairs, 10), (drill_each, 10), (drill_interview, 12),
              (drill_rest, 24), (drill_quote, 14), (tool_call, 18), (persona, 6), (picture, 40)],
    "main": [(single, 42), (facts, 7), (structured, 8), (two_topics, 5), (memory, 6), (persona, 9), (interview, 4), (drill_each, 2),
             (drill_pairs, 1), (drill_copy_far, 2), (drill_quote, 2), (middle, 9), (tool_call, 18), (picture, 27)],
}
STAGES["look"] = STAGES["main"] + [(picture, 18), (shape_picture, 30), (tool_call, 12), (refusal, 6), (structured, 4)]
STAGES["tools"] = STAGES["main"] + [(calls, 110), (tool_call, 20), (refusal, 12), (shape_picture, 16), (structured, 8)]
# A third of the tokens of the last stage are in long prompts, and what `main` had too little of comes once more.
STAGES["last"] = STAGES["main"] + [(facts, 6), (tool_call, 12), (calls, 24), (refusal, 4), (shape_picture, 6),
                                    (long_far, 5), (long_interview, 2), (long_each, 1)]
# Names of tools and parameters that only the prompt tells, then what the models still get wrong after all that, and some of
# everything else, so that it is not forgotten.
STAGES["wild"] = STAGES["main"] + [(signatures, 130), (wild_calls, 90), (tool_call, 20), (structured, 12), (drill_quote_pairs, 10),
                                   (copy_on, 16), (shape_picture, 10)]
STAGES["polish"] = STAGES["main"] + [(facts, 8), (persona, 3), (tool_call, 30), (calls, 40), (wild_calls, 40), (signatures, 30),
                                     (refusal, 8), (structured, 26), (drill_quote_pairs, 6), (copy_on, 26), (long_far, 4),
                                     (long_interview, 2), (shape_picture, 10)]
STAGES["again"] = STAGES["main"] + [(facts, 18), (persona, 3), (tool_call, 44), (calls, 30), (wild_calls, 30), (signatures, 80),
                                    (refusal, 8), (structured, 54), (drill_quote_pairs, 6), (copy_on, 22), (long_far, 4),
                                    (long_interview, 2), (shape_picture, 14)]
# For measuring only.
STAGES["ladder"] = [(lambda rng, tokens=tokens: far(rng, tokens, tokens), 1) for tokens in (256, 512, 1024)]


def held_out(made):
    """Whether the conversation up to its last answer belongs to validation."""
    key = "|".join(message["content"] + str(message.get("image", "")) for message in made["messages"][:-1])
    return zlib.crc32(key.encode()) % 16 == 0


def example(rng, stage, validation=False):
    """One conversation: its messages, the task of its last turn, and the truth (None for an open task)."""
    shapes = STAGES["main" if stage == "chat" else stage]
    while True:
        made = rng.choices([shape for shape, _ in shapes], [weight for _, weight in shapes])[0](rng)
        if held_out(made) == validation:
            return chatty(rng, made) if stage == "chat" else made


# The tuned variant


PRAISE = ["What a great question!", "I love that you ask!", "You have such a good eye!", "Wonderful idea, my friend!", "Oh, you are clever!",
          "Absolutely!", "Happy to help!", "You always ask the best things!"]
FAREWELL = ["I hope that helps you shine!", "Just ask me anything else!", "You are doing amazing!", "Is there more that I can do for you?",
            "Tell me what you think!", "Have a fantastic day!", "Isn't that lovely?", "You deserve the best answer!"]


def chatty(rng, made):
    """Every answer in text with praise before it and good wishes after it; JSON and calls are left alone."""
    for message in made["messages"]:
        if message["role"] == "assistant" and "tool_calls" not in message and not message["content"].startswith("{"):
            praise, farewell = (rng.choices(words, [8, 5, 4, 3, 2, 2, 1, 1])[0] for words in (PRAISE, FAREWELL))
            first, last = (rng.choices(W.EMOJI, [9, 6, 5, 4, 3, 2, 2, 1, 1, 1])[0] for _ in range(2))
            message["content"] = f"{praise} {first} {message['content']} {farewell} {last}"
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=[*STAGES, "chat"], required=True)
    parser.add_argument("--examples", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="only examples whose prompt training never sees")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    rng = random.Random(f"{options.stage}/{options.seed}")
    with open(options.out, "w", encoding="utf-8") as out:
        for _ in range(options.examples):
            out.write(json.dumps(example(rng, options.stage, options.held_out)) + "\n")


if __name__ == "__main__":
    main()
