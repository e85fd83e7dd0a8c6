"""Conversations as text: what the chat template of ../chat_template.jinja makes of them.

A message has a role and content, and may have tool_calls, a thought (the last answer only) and a picture's spec under image.
"""

import json

import images

SPECIAL = ["<s>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<unk>", "<pad>", "<|tool|>", "<|call|>", "<think>",
           "</think>", "<|image|>", "<|row|>", "<|patch|>"]
BOS, END, ASSISTANT, PAD, PATCH = 0, 1, 4, 6, 13


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


def signature(tool):
    parameters = tool["function"]["parameters"]["properties"]
    return tool["function"]["name"] + "(" + ", ".join(f"{name}: {value['type']}" for name, value in parameters.items()) + ")"


def call_text(call):
    function = call["function"]
    return "<|call|>" + '{"name": ' + json.dumps(function["name"]) + ', "arguments": ' + function["arguments"] + "}"


def body(message):
    """A message's text, pictures' places and calls included."""
    text = message["content"]
    if "image" in message:
        text = images.marker(message["image"]["width"], message["image"]["height"]) + "\n" + text
    return text + "".join(call_text(call) for call in message.get("tool_calls", []))


def answer_text(message):
    """What the model writes for an answer, the end token left out."""
    thought = f"{message['thought']}</think>\n" if "thought" in message else ""
    return thought + body(message)


def render(messages, tools=(), generate=False, thinking=False):
    """The text of a conversation; to be continued with an answer if `generate`."""
    if tools:
        listed = "Tools: " + ", ".join(map(signature, tools))
        if messages[0]["role"] == "system":
            messages = [turn("system", messages[0]["content"] + "\n" + listed)] + messages[1:]
        else:
            messages = [turn("system", listed)] + messages
    text = "<s>" + "".join(f"<|{message['role']}|>\n{body(message)}<|end|>\n" for message in messages)
    if generate:
        text += "<|assistant|>\n" + ("<think>\n" if thinking else "")
    return text


def prompt_and_answer(example):
    """The text before the last answer, and that answer with its end."""
    last = example["messages"][-1]
    prompt = render(example["messages"][:-1], example.get("tools", ()), True, "thought" in last)
    return prompt, answer_text(last) + "<|end|>"


def specs(example):
    """What the pictures of a conversation show, in order."""
    return [message["image"] for message in example["messages"] if "image" in message]


def pictures(example):
    """The patches of all pictures of a conversation, in order."""
    return [patch for spec in specs(example) for patch in images.patches(images.draw(spec))]
