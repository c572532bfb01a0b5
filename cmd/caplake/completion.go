package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// completion prints a script that completes command lines, made from specs.
func (c *command) completion(args []string) int {
	fs := flagsOf("completion", nil)
	help, err := parse(fs, args)
	if help {
		return c.commandHelp("completion")
	}
	if err == nil && fs.NArg() != 1 {
		err = errors.New("completion wants one shell: bash, zsh or fish")
	}
	if err != nil {
		return c.usage("completion", err)
	}
	switch shell := fs.Arg(0); shell {
	case "bash":
		return c.print(bashCompletion())
	case "zsh":
		return c.print(zshCompletion())
	case "fish":
		return c.print(fishCompletion())
	default:
		return c.usage("completion", fmt.Errorf("no completion for %q; there is one for bash, zsh and fish", shell))
	}
}

// visit calls f for each flag of the command.
func (s *spec) visit(f func(*pflag.Flag)) {
	if s.groups != nil {
		flagsOf(s.name, s.groups()).VisitAll(f)
	}
}

// spellings returns how a flag is written.
func spellings(f *pflag.Flag) []string {
	if f.Shorthand != "" {
		return []string{"-" + f.Shorthand, "--" + f.Name}
	}
	return []string{"--" + f.Name}
}

func takesValue(f *pflag.Flag) bool { return f.NoOptDefVal == "" }

func annotation(f *pflag.Flag, key string) (string, bool) {
	values, ok := f.Annotations[key]
	return strings.Join(values, " "), ok
}

func bashCompletion() string {
	var b strings.Builder
	var names []string
	for _, s := range specs() {
		names = append(names, s.name)
	}
	fmt.Fprintf(&b, `# bash completion of caplake
_caplake() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    # bash takes --flag=value for three words
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "%s" -- "$cur"))
        return
    fi
    case "$command $prev" in
`, strings.Join(names, " "))
	for _, s := range specs() {
		var opaque []string // flags whose values cannot be told
		s.visit(func(f *pflag.Flag) {
			if !takesValue(f) {
				return
			}
			var patterns []string
			for _, word := range spellings(f) {
				patterns = append(patterns, fmt.Sprintf("%q", s.name+" "+word))
			}
			pattern := strings.Join(patterns, " | ")
			path, _ := annotation(f, notePath)
			if values, ok := annotation(f, noteValues); ok {
				fmt.Fprintf(&b, "    %s)\n        COMPREPLY=($(compgen -W \"%s\" -- \"$cur\"))\n        return ;;\n", pattern, values)
			} else if path != "" {
				fmt.Fprintf(&b, "    %s)\n        compopt -o filenames 2>/dev/null\n        COMPREPLY=($(compgen -%s -- \"$cur\"))\n        return ;;\n", pattern, path[:1])
			} else {
				opaque = append(opaque, patterns...)
			}
		})
		if len(opaque) > 0 {
			fmt.Fprintf(&b, "    %s)\n        return ;;\n", strings.Join(opaque, " | "))
		}
	}
	b.WriteString("    esac\n    case \"$command\" in\n")
	for _, s := range specs() {
		var flags []string
		s.visit(func(f *pflag.Flag) { flags = append(flags, spellings(f)...) })
		flags = append(flags, "--help")
		fmt.Fprintf(&b, "    %s)\n        if [[ $cur == -* ]]; then\n            COMPREPLY=($(compgen -W \"%s\" -- \"$cur\"))\n", s.name, strings.Join(flags, " "))
		if s.args != nil {
			b.WriteString("        else\n")
			if words := s.args(); words != nil {
				fmt.Fprintf(&b, "            COMPREPLY=($(compgen -W \"%s\" -- \"$cur\"))\n", strings.Join(words, " "))
			} else {
				b.WriteString("            compopt -o filenames 2>/dev/null\n            local IFS=$'\\n'\n            COMPREPLY=($(compgen -f -- \"$cur\"))\n")
			}
		}
		b.WriteString("        fi ;;\n")
	}
	b.WriteString("    esac\n}\ncomplete -F _caplake caplake\n")
	return b.String()
}

func zshCompletion() string {
	var b strings.Builder
	b.WriteString("#compdef caplake\n\n_caplake() {\n    local -a commands=(\n")
	for _, s := range specs() {
		fmt.Fprintf(&b, "        %s\n", quoted(s.name+":"+s.summary))
	}
	b.WriteString("    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n")
	for _, s := range specs() {
		fmt.Fprintf(&b, "    %s)\n        _arguments -s -S", s.name)
		s.visit(func(f *pflag.Flag) {
			text := "[" + zshEscape(brief(f)) + "]"
			if takesValue(f) {
				placeholder, _ := describe(f)
				action := " "
				if values, ok := annotation(f, noteValues); ok {
					action = "(" + values + ")"
				} else if path, ok := annotation(f, notePath); ok {
					action = map[string]string{"dir": "_files -/", "file": "_files"}[path]
				}
				text += ":" + placeholder + ":" + action
			}
			_, many := annotation(f, noteMany)
			for _, word := range spellings(f) {
				prefix := ""
				switch {
				case many:
					prefix = "*"
				case f.Shorthand != "":
					prefix = "(" + strings.Join(spellings(f), " ") + ")"
				}
				if takesValue(f) && strings.HasPrefix(word, "--") {
					word += "="
				}
				fmt.Fprintf(&b, " \\\n            %s", quoted(prefix+word+text))
			}
		})
		b.WriteString(" \\\n            '--help[print help]'")
		if s.args != nil {
			if words := s.args(); words != nil {
				fmt.Fprintf(&b, " \\\n            %s", quoted("1:word:("+strings.Join(words, " ")+")"))
			} else {
				b.WriteString(" \\\n            '*:capture:_files'")
			}
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString("    esac\n}\n\nif [[ $funcstack[1] == _caplake ]]; then\n    _caplake \"$@\"\nelse\n    compdef _caplake caplake\nfi\n")
	return b.String()
}

func fishCompletion() string {
	var b strings.Builder
	b.WriteString("# fish completion of caplake\ncomplete -c caplake -f\n")
	for _, s := range specs() {
		fmt.Fprintf(&b, "complete -c caplake -n __fish_use_subcommand -a %s -d %s\n", s.name, fishQuoted(s.summary))
	}
	for _, s := range specs() {
		line := fmt.Sprintf("complete -c caplake -n '__fish_seen_subcommand_from %s'", s.name)
		s.visit(func(f *pflag.Flag) {
			b.WriteString(line)
			if f.Shorthand != "" {
				b.WriteString(" -s " + f.Shorthand)
			}
			b.WriteString(" -l " + f.Name)
			if takesValue(f) {
				path, _ := annotation(f, notePath)
				values, ok := annotation(f, noteValues)
				switch {
				case ok:
					b.WriteString(" -x -a " + fishQuoted(values))
				case path == "dir":
					b.WriteString(" -x -a '(__fish_complete_directories)'")
				case path == "file":
					b.WriteString(" -r -F")
				default:
					b.WriteString(" -x")
				}
			}
			b.WriteString(" -d " + fishQuoted(brief(f)) + "\n")
		})
		if s.args != nil {
			if words := s.args(); words == nil {
				b.WriteString(line + " -F\n")
			} else if s.name != "help" {
				fmt.Fprintf(&b, "%s -a %s\n", line, fishQuoted(strings.Join(words, " ")))
			}
		}
		b.WriteString(line + " -l help -d 'print help'\n")
	}
	return b.String()
}

// brief returns the first sentence or clause of what a flag does.
func brief(f *pflag.Flag) string {
	_, text := pflag.UnquoteUsage(f)
	for _, end := range []string{". ", "; ", " (", ": "} {
		text, _, _ = strings.Cut(text, end)
	}
	return text
}

// quoted returns s as one word of a POSIX shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func fishQuoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

// zshEscape escapes what has a meaning in a description of _arguments.
func zshEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(s)
}
