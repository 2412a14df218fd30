package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/fileserver/library"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/sandbox/docker"
)

// openFiles returns the files of sessions, with the operator's libraries where there are any.
func openFiles(cfg *config.Config, sessions *gateway.Sessions, log *slog.Logger) (*fileserver.Files, error) {
	files := fileserver.New(sessions)
	if cfg.Libraries == "" {
		return files, nil
	}
	shared, err := library.Open(cfg.Libraries, log)
	if err != nil {
		return nil, hintError{err: err, hint: "the setting libraries names it"}
	}
	return files.WithLibraries(shared), nil
}

// libraryFindings says of the folder of libraries what is in it, nothing where there is none.
func libraryFindings(folder string) []docker.Finding {
	if folder == "" {
		return nil
	}
	found := docker.Finding{ID: "libraries", Title: "Shared libraries", State: docker.StateOK}
	names, others, err := library.Names(folder)
	switch {
	case err != nil:
		found.State, found.Value = docker.StateFail, err.Error()
		found.Meaning = "`sandgate serve` does not start without the folder that libraries names."
		found.Remedy = "Mend it, or take libraries out of the settings."
	case len(others) > 0:
		found.State, found.Value = docker.StateWarn, fmt.Sprintf("%d in %s; no directories: %s", len(names), folder, strings.Join(others, ", "))
		found.Meaning = "Every session may read what is in the folder; symbolic links lead nowhere outside of it."
		found.Remedy = "Put directories there, or mount them (mount --bind)."
	default:
		found.Value = fmt.Sprintf("%d in %s", len(names), folder)
		found.Meaning = "Every session may read them."
	}
	return []docker.Finding{found}
}
