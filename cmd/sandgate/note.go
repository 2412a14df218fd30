package main

import "strings"

// moreMemory says how a session with more memory is had.
const moreMemory = "name a session with more by --session: `sandgate session create --memory 4GiB` makes one."

// inCommands returns sentences of a result's note that tell a model what to ask for, each followed by what
// stands in its place for whoever types commands.
func inCommands() []string {
	return []string{
		"Ask for a longer timeout, or do less in one call.", "--timeout gives it longer.",
		"Ask for a longer timeout, or start it in the background.", "--timeout gives it longer.",
		"or create a session with a greater memory limit.", "or " + moreMemory,
		"or ask for more memory.", "or " + moreMemory,
	}
}

// aboutNext returns parts of a note that are about the next call of a session, or the next session, each
// followed by what stands in its place where the session has none.
func aboutNext() []string {
	return []string{
		" The next call runs in a new one: variables and imports are gone, files are kept.", "",
		" A new one was started: variables and imports are gone, files are kept.", "",
		": variables, files and processes are gone. Create a new session; the code was not run again.", ".",
	}
}

// note tells what a result says beside its output; last says that its session ends with this command.
func (a *app) note(text string, last bool) {
	if last {
		text = strings.NewReplacer(aboutNext()...).Replace(text)
	}
	if text != "" {
		a.notef("%s", strings.NewReplacer(inCommands()...).Replace(text))
	}
}
