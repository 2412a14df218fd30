package docker

import (
	"fmt"
	"strings"
)

// judge turns facts into findings. It is a pure function.
func judge(f facts) Posture {
	if f.engineErr != nil {
		return Posture{Findings: []Finding{{
			ID: "engine", Title: "Docker engine", State: StateFail, Value: f.engineErr.Error(),
			Meaning: "sandboxes are containers of a Docker engine, and none answers",
			Remedy:  "run `make setup`, start the engine, or set DOCKER_HOST",
		}}}
	}
	findings := []Finding{judgeEngine(f), judgeAPI(f), judgeRunc(f), judgeRuncHoles(f), judgeRunsc(f)}
	findings = append(findings, judgeSeccomp(f), judgeLimits(f), judgeCgroup(f), judgeImage(f))
	if f.image != nil {
		findings = append(findings, judgeImageConfig(f))
	}
	findings = append(findings, judgeDisk(f), judgeKernel(f), judgeLSM(f), judgeUserns(f), judgeLiveRestore(f), judgeSocket(f))
	return Posture{Findings: append(findings, judgeSysctls(f)...)}
}

func (f Finding) verdict(state State, value, remedy string) Finding {
	f.State, f.Value = state, value
	if state != StateOK {
		f.Remedy = remedy
	}
	return f
}

func judgeEngine(f facts) Finding {
	finding := Finding{ID: "engine", Title: "Docker engine", Meaning: "sandboxes are its containers"}
	value := fmt.Sprintf("%s on %s %s", f.info.ServerVersion, f.info.OSType, f.info.Architecture)
	if f.info.OSType != "linux" {
		return finding.verdict(StateFail, value, "use an engine that runs Linux containers")
	}
	return finding.verdict(StateOK, value, "")
}

func judgeAPI(f facts) Finding {
	finding := Finding{ID: "api", Title: "Docker API", Meaning: "1.41 is the first with all that a sandbox is hardened by"}
	got, known := parseVersion(f.api)
	if !known || got.compare(version{major: 1, minor: 41}) < 0 {
		return finding.verdict(StateFail, f.api, "use Docker 20.10 or later")
	}
	return finding.verdict(StateOK, f.api, "")
}

func judgeRunc(f facts) Finding {
	finding := Finding{ID: "runc", Title: "Runtime runc", Meaning: "shares the host's kernel: for one tenant only"}
	if _, exists := f.info.Runtimes["runc"]; !exists {
		return finding.verdict(StateWarn, "not registered", "register it, or use runsc alone")
	}
	return finding.verdict(StateOK, strings.TrimSpace(f.runc), "")
}

func judgeRuncHoles(f facts) Finding {
	finding := Finding{
		ID: "runc-holes", Title: "Known holes in runc",
		Meaning: "a hole in the runtime is a way out of every runc sandbox",
	}
	if _, exists := f.info.Runtimes["runc"]; !exists {
		return finding.verdict(StateOK, "runc is not used", "")
	}
	got, known := parseVersion(f.runc)
	if !known {
		return finding.verdict(StateWarn, "version not known", "make sure that runc is 1.2.8, 1.3.6 or 1.4.3, or later")
	}
	open := openHoles(got, f.runc, f.runcChangelog)
	if len(open) == 0 {
		return finding.verdict(StateOK, "none", "")
	}
	state := StateWarn
	var texts []string
	for _, each := range open {
		text := each.id + " (" + each.what
		if each.needs == "" || each.id == "CVE-2024-21626" {
			state = StateFail
		} else {
			text += "; needs " + each.needs + ", which Sandgate gives nobody"
		}
		texts = append(texts, text+")")
	}
	return finding.verdict(state, strings.Join(texts, ", "), "update runc, or use runsc")
}

func judgeRunsc(f facts) Finding {
	finding := Finding{
		ID: "runsc", Title: "Runtime runsc (gVisor)",
		Meaning: "puts a kernel of its own between untrusted code and the host's: required for more than one tenant",
	}
	if _, exists := f.info.Runtimes["runsc"]; !exists {
		state := StateWarn
		if f.options.RequireSentry {
			state = StateFail
		}
		return finding.verdict(state, "not registered", "`make setup` builds and registers it")
	}
	switch {
	case !f.local:
		return finding.verdict(StateOK, "registered; the engine is remote, so its version is not known", "")
	case f.runscErr != nil:
		return finding.verdict(StateFail, "does not run: "+f.runscErr.Error(), "`make setup` builds it anew")
	}
	value := f.runsc
	if f.runscBuild != "" {
		value += ", built from " + f.runscBuild
	}
	day := buildDay(f.runscBuild)
	if day == "" {
		day = releaseDay(f.runsc)
	}
	switch {
	case day == "":
		return finding.verdict(StateWarn, value+"; its age is not known", "`make setup` builds one that is known")
	case day < sentryFixDay:
		return finding.verdict(StateWarn,
			value+"; has CVE-2026-96812, which needs a passed device, and Sandgate passes none", "`make setup` builds a newer one")
	}
	return finding.verdict(StateOK, value, "")
}

// releaseDay is the day in a released version, such as "runsc version release-20260406.0".
func releaseDay(text string) string {
	_, rest, found := strings.Cut(text, "release-")
	if day, _, _ := strings.Cut(rest, "."); found && len(day) == len("20060102") && strings.Trim(day, "0123456789") == "" {
		return day
	}
	return ""
}

func judgeSeccomp(f facts) Finding {
	finding := Finding{
		ID: "seccomp", Title: "Seccomp",
		Meaning: "Sandgate's profile bars runc sandboxes from most of the kernel; without it runc is refused",
	}
	switch {
	case hasSecurityOption(f.info.SecurityOptions, "seccomp"):
		return finding.verdict(StateOK, "supported", "")
	case f.options.RequireSentry:
		return finding.verdict(StateWarn, "not supported by the engine", "use a kernel and an engine with seccomp")
	}
	return finding.verdict(StateFail, "not supported by the engine", "use a kernel and an engine with seccomp")
}
