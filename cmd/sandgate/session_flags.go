package main

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
)

// A gateway names the fields of a request, in the units of the API. Who typed flags is told of flags.
var (
	sessionField = regexp.MustCompile(`(?:limits\.)?\b(?:memory_bytes|workspace_bytes|cpu_millis|max_processes|workspace_files|idle_timeout|max_lifetime|template|metadata|timeout|context_id|cwd|past_hours)\b`)
	wholeNumber  = regexp.MustCompile(`\d+s?\b`)
)

// inFlags turns the refusal of a request that was made of flags into an error of usage. Others stay.
func inFlags(err error) error {
	if !refusedAsWrong(err) {
		return err
	}
	message, hint := explain(err)
	if strings.HasPrefix(hint, "Mend the named field") {
		hint = "Change the named flag, or leave it out for the default."
	}
	hint = strings.ReplaceAll(hint, "the named limit", "the named flag")
	return usageError{err: hintError{err: retold{namedByFlags(message), err}, hint: hint}}
}

// namedByFlags writes a gateway's text with the names of flags for those of fields, and numbers as flags
// take them.
func namedByFlags(message string) string {
	var out strings.Builder
	written := func(number string) string { return number }
	end := 0
	for _, at := range sessionField.FindAllStringIndex(message, -1) {
		out.WriteString(wholeNumber.ReplaceAllStringFunc(message[end:at[0]], written))
		var flag string
		flag, written = flagOf(strings.TrimPrefix(message[at[0]:at[1]], "limits."))
		out.WriteString("--" + flag)
		end = at[1]
	}
	out.WriteString(wholeNumber.ReplaceAllStringFunc(message[end:], written))
	return out.String()
}

// flagOf returns the flag that sets a field, and how the field's numbers are written there.
func flagOf(field string) (flag string, written func(number string) string) {
	switch field {
	case "memory_bytes":
		return "memory", sizeWritten
	case "workspace_bytes":
		return "workspace", sizeWritten
	case "cpu_millis":
		return "cpu", func(number string) string {
			millis, err := strconv.ParseFloat(number, 64)
			if err != nil {
				return number
			}
			return strconv.FormatFloat(millis/1000, 'g', -1, 64)
		}
	case "idle_timeout":
		return "idle", spanWritten
	case "timeout":
		return "timeout", spanWritten
	case "max_lifetime":
		return "lifetime", spanWritten
	}
	switch field {
	case "max_processes":
		flag = "processes"
	case "workspace_files":
		flag = "files"
	case "metadata":
		flag = "label"
	case "context_id":
		flag = "context"
	case "past_hours":
		flag = "past"
	default:
		flag = field
	}
	return flag, func(number string) string { return number }
}

func sizeWritten(number string) string {
	bytes, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return number
	}
	return config.FormatSize(bytes)
}

func spanWritten(seconds string) string {
	span, err := time.ParseDuration(seconds)
	if err != nil || span == 0 {
		return seconds
	}
	return strings.TrimSuffix(strings.TrimSuffix(span.String(), "0s"), "0m")
}
