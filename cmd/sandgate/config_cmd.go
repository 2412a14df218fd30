package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
)

const configLong = `A gateway's settings come from, the strongest first: flags of "sandgate serve", the
environment (SANDGATE_ and the setting's name in capitals), a YAML file, defaults.
The file is named by --config or SANDGATE_CONFIG, else it is the first that exists of
$XDG_CONFIG_HOME/sandgate/config.yaml (~/.config without it) and
/etc/sandgate/config.yaml. A setting that does not exist is refused.`

// configCommand is `sandgate config`.
func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check and show a gateway's settings",
		GroupID: groupRun,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Long:    configLong,
		Example: `  sandgate config check /etc/sandgate/config.yaml
  SANDGATE_POOL_DATA=3 sandgate config show`,
	}
	cmd.AddCommand(a.configCheck(), a.configShow())
	return cmd
}

func (a *app) configCheck() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say everything that is wrong with the settings",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && file != "":
				return usagef("name the file once: as an argument or by --config")
			case len(args) == 1:
				file = args[0]
			}
			loaded, err := config.Load(config.Input{File: file, Env: a.env, Names: a.names})
			if err != nil {
				return err
			}
			name := loaded.File
			if name == "" {
				name = "no file, environment and defaults only"
			}
			_, err = fmt.Fprintf(a.out, "ok (%s)\n", printable(name))
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "the file to read, as \"serve\" takes it")
	return cmd
}

func (a *app) configShow() *cobra.Command {
	var asJSON bool
	var file string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show every setting, its value and where that came from",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			// What is wrong is shown after the settings that could be read.
			loaded, problems := config.Load(config.Input{File: file, Env: a.env, Names: a.names})
			if err := a.printSettings(loaded, asJSON); err != nil {
				return err
			}
			return problems
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as JSON")
	cmd.Flags().StringVar(&file, "config", "", "the file to read")
	return cmd
}

// printSettings prints a configuration.
func (a *app) printSettings(loaded *config.Loaded, asJSON bool) error {
	type setting struct {
		Key    string `json:"key"`
		Value  string `json:"value"`
		Origin string `json:"origin"`
		Doc    string `json:"doc"`
	}
	var settings []setting
	rows := [][]string{{"SETTING", "VALUE", "FROM", "WHAT IT DOES"}}
	for _, field := range config.Fields() {
		s := setting{field.Key, field.Show(&loaded.Config), loaded.Origins[field.Key], field.Doc}
		settings = append(settings, s)
		rows = append(rows, []string{s.Key, s.Value, s.Origin, s.Doc})
	}
	if !asJSON {
		return table(a.out, rows)
	}
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(settings)
}

// settingFlags are the settings as flags of a command. They are kept as text: only what was given
// counts, and it is parsed where all other sources are.
type settingFlags struct {
	file  string
	set   *pflag.FlagSet
	texts map[string]*string
}

// addSettings gives a command a flag for each setting.
func addSettings(set *pflag.FlagSet) *settingFlags {
	flags := &settingFlags{set: set, texts: map[string]*string{}}
	set.StringVar(&flags.file, "config", "", "YAML file with settings")
	for _, field := range config.Fields() {
		text := new(string)
		set.StringVar(text, field.Flag(), "", field.Doc)
		flags.texts[field.Key] = text
	}
	return flags
}

// load reads the configuration with the flags that were given.
func (f *settingFlags) load(a *app) (*config.Loaded, error) {
	given := map[string]string{}
	for _, field := range config.Fields() {
		if f.set.Changed(field.Flag()) {
			given[field.Key] = *f.texts[field.Key]
		}
	}
	return config.Load(config.Input{File: f.file, Env: a.env, Names: a.names, Flags: given})
}
