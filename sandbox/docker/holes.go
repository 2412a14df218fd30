package docker

import "strings"

// hole is a publicly known way out of a container.
type hole struct {
	id    string
	what  string
	needs string   // what an attacker must control; empty where an ordinary sandbox gives it
	fixed []string // the first good release of each branch
}

// runcHoles are those of runc. Sandgate's containers come from one image of the operator's own, with no
// mounts, no shared volumes, no terminal and no exec, so that most of them lack what they need; which is
// no reason to keep them.
func runcHoles() []hole {
	mounts := "control of the image or of a mount, or a second container that races on a shared volume"
	return []hole{
		{"CVE-2019-5736", "the runtime's binary can be overwritten from inside", "", []string{"1.0.0-rc7"}},
		{"CVE-2024-21626", "a leaked descriptor leads to the host's files", "control of a working directory", []string{"1.1.12"}},
		{"CVE-2025-31133", "a masked path can be redirected", mounts, []string{"1.2.8", "1.3.3", "1.4.0-rc.3"}},
		{"CVE-2025-52565", "a write through /dev/console", mounts, []string{"1.2.8", "1.3.3", "1.4.0-rc.3"}},
		{"CVE-2025-52881", "a write to /proc is redirected", mounts, []string{"1.2.8", "1.3.3", "1.4.0-rc.3"}},
		{"CVE-2026-41579", "links in the image's /dev are followed", "control of the image", []string{"1.3.6", "1.4.3", "1.5.0-rc.3"}},
	}
}

// openHoles returns those that the version has, less those that the distribution says it has patched.
// changelog is the text of the package's change log, empty where it cannot be read; it only counts for a
// version that carries the distribution's suffix.
func openHoles(version version, text, changelog string) []hole {
	var open []hole
	for _, each := range runcHoles() {
		if version.fixedSince(each.fixed...) || patched(text, changelog, each.id) {
			continue
		}
		open = append(open, each)
	}
	return open
}

func patched(text, changelog, id string) bool {
	if strings.Contains(text, "deb12u") && id == "CVE-2024-21626" {
		return true // Debian 12's 1.1.5+ds1-1+deb12u1 is this fix and nothing else
	}
	packaged := strings.ContainsAny(text, "+~") || strings.Contains(text, "ubuntu")
	return packaged && strings.Contains(changelog, id)
}

// sentryFixDay is the day before which builds of gVisor have CVE-2026-96812: a way to the host's root for
// who is given a character device or CUSE. The fix, 573a9e73cf84, is of September 2026; builds from
// before that month certainly lack it.
const sentryFixDay = "20260901"

// copyFailFixed is where CVE-2026-31431, a write to the page cache through AF_ALG, was fixed. Kernels of
// distributions may have the fix under an older number; both runtimes' sandboxes refuse AF_ALG anyway.
func copyFailFixed(kernel version) bool {
	fixed := version{major: 6, minor: 18, patch: 22}
	return kernel.compare(fixed) >= 0
}
