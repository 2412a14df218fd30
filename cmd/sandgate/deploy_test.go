package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
)

const (
	alertsFile    = "../../deploy/prometheus/alerts.yaml"
	dashboardFile = "../../deploy/grafana/sandgate.json"
	composeFile   = "../../deploy/compose.yaml"
	serviceFile   = "../../deploy/systemd/sandgate.service"
	operatingFile = "../../docs/operating.md"
)

// TestRulesWork has Prometheus' own tool check and try the rules, where it is installed.
func TestRulesWork(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed; Debian has it in the package prometheus")
	}
	for _, args := range [][]string{
		{"check", "rules", alertsFile}, {"test", "rules", filepath.Join(filepath.Dir(alertsFile), "alerts_test.yaml")},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestDeployedSettingsExist wants every variable that is set for a gateway to be a setting.
func TestDeployedSettingsExist(t *testing.T) {
	known := map[string]bool{"SANDGATE_SERVER": true}
	for _, field := range config.Fields() {
		known[field.Env()] = true
	}
	variable := regexp.MustCompile(`\bSANDGATE_[A-Z_]+\b`)
	for _, file := range []string{composeFile, serviceFile, "../../images/gateway.Dockerfile"} {
		found := variable.FindAllString(readText(t, file), -1)
		if len(found) == 0 {
			t.Errorf("%s sets nothing", file)
		}
		for _, name := range found {
			if !known[name] {
				t.Errorf("%s: %s is not a setting", file, name)
			}
		}
	}
}

// TestComposeFile holds the walls around the gateway's own container.
func TestComposeFile(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Image    string
			Network  string   `yaml:"network_mode"`
			ReadOnly bool     `yaml:"read_only"`
			CapDrop  []string `yaml:"cap_drop"`
			CapAdd   []string `yaml:"cap_add"`
			Security []string `yaml:"security_opt"`
			Volumes  []string
			User     string
			Grace    string `yaml:"stop_grace_period"`

			Privileged  bool
			Environment map[string]string
		}
	}
	if err := yaml.Unmarshal([]byte(readText(t, composeFile)), &file); err != nil {
		t.Fatal(err)
	}
	gateway := file.Services["gateway"]
	if gateway.Privileged || len(gateway.CapAdd) > 0 || !gateway.ReadOnly || !slices.Equal(gateway.CapDrop, []string{"ALL"}) ||
		!slices.Contains(gateway.Security, "no-new-privileges:true") || gateway.User != "" {
		t.Errorf("the container has more rights than it needs: %+v", gateway) // its user is the image's
	}
	for _, name := range []string{"SANDGATE_LISTEN", "SANDGATE_METRICS_LISTEN"} {
		if !strings.Contains(gateway.Environment[name], ":-127.0.0.1:") {
			t.Errorf("%s is %q", name, gateway.Environment[name])
		}
	}
	for _, volume := range gateway.Volumes {
		if from, _, _ := strings.Cut(volume, ":"); from != "state" && from != "/var/run/docker.sock" && !strings.HasSuffix(volume, ":ro") {
			t.Errorf("the gateway can write to %s", volume)
		}
	}
	grace, err := time.ParseDuration(gateway.Grace)
	if least := config.Default(os.LookupEnv).DrainTimeout + endTimeout; err != nil || grace < least {
		t.Errorf("it is killed after %s, its end may take %s", gateway.Grace, least)
	}
}

// TestServiceIsNarrow has systemd's own tool judge the unit, where it is installed: 0 is the narrowest, 10
// the widest that a service can be.
func TestServiceIsNarrow(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=15", serviceFile).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
