#!/usr/bin/env bash
# Walks through a review in a real terminal (tmux, 80 x 24) and keeps its screens in docs/src/screens/.
# From the project's folder, with the program built:  docs/screens.sh target/release/samemodel
set -euo pipefail

program=$(realpath "${1:?the program}")
shipped=$(realpath prompts/lab)
screens=$(realpath docs/src/screens)
work=$(mktemp -d)
session="samemodel-screens-$$"
trap 'tmux kill-session -t "$session" 2>/dev/null || true; rm -rf "$work"' EXIT

configure() {
    cat > "$work/providers.toml" <<TOML
[provider.host]
base_url = "$1"

[model.lab]
reference = "snapshot"
probes = ["prompts"]

[[model.lab.endpoint]]
name = "host"
provider = "host"
model = "lab"
TOML
}

# What the screen shows, without blanks at the ends of lines and without empty lines at its own.
shown() {
    tmux capture-pane -p -t "$session" | sed -e 's/ *$//' -e "s|$work|~/hosts|g" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
}

# Tries this until it succeeds.
patiently() {
    for _ in $(seq 300); do
        if "$@"; then
            return
        fi
        sleep 0.2
    done
    echo "this never came to be: $*" >&2
    tmux capture-pane -p -t "$session" >&2
    exit 1
}

before=""

# Keeps a screen that shows the words and is another than the one before.
keep() {
    local name=$1 words=$2 now
    now=$(shown)
    [[ $now == *"$words"* && $now != "$before" ]] || return 1
    before=$now
    printf '%s\n' "$now" > "$screens/$name.txt"
}

# Keeps what a command has printed, once the prompt behind it shows that this is all. The prompt itself is no part of it: whether it
# was there in time would be chance.
keep_printed() {
    local name=$1 words=$2 now
    now=$(shown)
    [[ $now == *"$words"*$'\n$' ]] || return 1
    before=$now
    printf '%s\n' "${now%$'\n$'}" > "$screens/$name.txt"
}

# Whether the shell waits for a line: what is typed before its prompt is there is shown twice.
is_waiting() {
    local now
    now=$(shown)
    [[ $now == '$' || $now == *$'\n$' ]]
}

screen() { patiently keep "$@"; }

printed() { patiently keep_printed "$@"; }

type_line() {
    patiently is_waiting
    tmux send-keys -t "$session" "$1" Enter
}

mkdir -p "$work/prompts"
cp "$shipped"/sampled/poems.toml "$shipped"/greedy/weather.toml "$shipped"/greedy/stories.toml "$work/prompts/"
ln -s "$program" "$work/samemodel"
configure "lab:"
tmux new-session -d -s "$session" -x 80 -y 24 -c "$work" "env -u CI -u SAMEMODEL_UPDATE PS1='\$ ' PATH='$work:$PATH' NO_COLOR=1 bash --norc --noprofile"

type_line "samemodel test lab --endpoint host --seed 1 --quiet"
printed 1-first-run "1 unmeasured"
type_line "clear; samemodel accept --all; samemodel pending"
printed 2-accepted "nothing waits for review"
configure "lab:swapped-model"
type_line "clear; samemodel test lab --seed 2 --quiet"
printed 3-drifted "1 drifted"
type_line "clear; samemodel pending"
printed 4-pending "waiting for review: "
type_line "clear; samemodel review"
screen 5-review "a accept"
tmux send-keys -t "$session" "Space"
screen 6-scrolled "lines "
tmux send-keys -t "$session" "i"
screen 7-info "verdict"
tmux send-keys -t "$session" "i" "d"
screen 8-diff "- 1 ×"
tmux send-keys -t "$session" "d" "?"
screen 9-help "take the last decision back"
tmux send-keys -t "$session" "?" "a"
screen 10-next "snapshot 2 of"
tmux send-keys -t "$session" "u"
screen 11-undone "taken back"
tmux send-keys -t "$session" "R"
screen 12-asked "y does, any other key does not"
tmux send-keys -t "$session" "y"
screen 13-all-decided "all decided"
tmux send-keys -t "$session" "q"
printed 14-rejected "rejected"
echo "the screens are in $screens"
