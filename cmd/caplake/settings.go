package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"
)

// settings gives the flags that the command line does not set their values
// from the environment and the configuration file. It returns every fault.
func settings(fs *pflag.FlagSet, getenv func(string) string) error {
	var errs []error
	set := make(map[string]bool)
	fs.Visit(func(f *pflag.Flag) { set[f.Name] = true })
	fs.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value := getenv(name)
		if value == "" || set[f.Name] {
			return
		}
		set[f.Name] = true
		if err := setFlag(f, value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%s: %w", name, value, err))
		}
	})
	if f := fs.Lookup("config"); f != nil && f.Value.String() != "" {
		errs = append(errs, settingsFile(fs, set, f.Value.String()))
	}
	return errors.Join(errs...)
}

// variable returns the environment variable of a flag.
func variable(flag string) string {
	return "CAPLAKE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func setFlag(f *pflag.Flag, value string) error {
	err := f.Value.Set(value)
	if err != nil && f.Value.Type() == "bool" {
		return errors.New("want true or false")
	}
	return err
}

// settingsFile sets the flags of fs that are not in set from a file. A flag
// of another command is left to that: one file serves all.
func settingsFile(fs *pflag.FlagSet, set map[string]bool, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var values map[string]any
	if _, err := toml.Decode(string(text), &values); err != nil {
		var p toml.ParseError
		if errors.As(err, &p) {
			return fmt.Errorf("%s: line %d: %s", path, p.Position.Line, p.Message)
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	known := configurable()
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var errs []error
	for _, name := range names {
		if !slices.Contains(known, name) {
			msg := fmt.Sprintf("%s: unknown setting %q", path, name)
			if near := nearest(name, known); near != "" {
				msg += fmt.Sprintf("; did you mean %q?", near)
			}
			errs = append(errs, errors.New(msg))
			continue
		}
		f := fs.Lookup(name)
		if f == nil || set[name] {
			continue
		}
		value, err := settingText(values[name])
		if err == nil {
			err = setFlag(f, value)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", path, name, err))
		}
	}
	return errors.Join(errs...)
}

// configurable returns the names that a configuration file may set, those of
// all commands that read one.
func configurable() (names []string) {
	for _, s := range specs() {
		if s.groups == nil {
			continue
		}
		fs := flagsOf(s.name, s.groups())
		if fs.Lookup("config") == nil {
			continue
		}
		fs.VisitAll(func(f *pflag.Flag) {
			if f.Name != "config" && !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		})
	}
	return names
}

// settingText returns a value of a file as it would stand on a command line.
func settingText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case time.Time:
		// TOML has times without a zone, which are UTC here; the library gives them
		// that of this machine, under a name of its own.
		switch v.Location().String() {
		case "datetime-local":
			return v.Format("2006-01-02T15:04:05.999999999"), nil
		case "date-local":
			return v.Format(time.DateOnly), nil
		case "time-local":
			return "", errors.New("a time needs a date")
		}
		return v.Format(time.RFC3339Nano), nil
	case []any:
		var list []string
		for _, x := range v {
			text, err := settingText(x)
			if err != nil {
				return "", err
			}
			list = append(list, text)
		}
		return strings.Join(list, ","), nil
	case float64:
		return "", errors.New(`put numbers with decimals in quotes, they are kept exactly then`)
	}
	return "", errors.New("want a word in quotes, a number, true, false or a list of these")
}
