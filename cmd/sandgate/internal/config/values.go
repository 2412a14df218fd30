package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A value is a place in a Config that can be written as text. pflag's own values look the same.
type value interface {
	String() string
	Set(text string) error
}

// bounds are the least and the greatest number allowed.
type bounds struct{ least, most int }

// spanBounds are the shortest and the longest time allowed.
type spanBounds struct{ least, most time.Duration }

func text(key, doc string, at func(*Config) *string) Field {
	return Field{Key: key, Doc: doc, value: func(c *Config) value { return textValue{at: at(c)} }}
}

// hidden makes a field one whose value holds a password.
func hidden(f Field) Field {
	f.secret = true
	return f
}

func choice(key, doc string, at func(*Config) *string, choices ...string) Field {
	return Field{Key: key, Doc: doc, value: func(c *Config) value { return textValue{at: at(c), choices: choices} }}
}

func count(key, doc string, within bounds, at func(*Config) *int) Field {
	return Field{Key: key, Doc: doc, value: func(c *Config) value { return countValue{at: at(c), within: within} }}
}

func count32(key, doc string, at func(*Config) *int32) Field {
	return Field{Key: key, Doc: doc, value: func(c *Config) value { return count32Value{at: at(c)} }}
}

func cores(key, doc string, at func(*Config) *int32) Field {
	return Field{Key: key, Doc: doc, value: func(c *Config) value { return coresValue{at: at(c)} }}
}

func size(key, doc string, at func(*Config) *int64) Field {
	return Field{Key: key, Doc: doc, value: func(c *Config) value { return sizeValue{at: at(c)} }}
}

func span(key, doc string, within spanBounds, at func(*Config) *time.Duration) Field {
	return Field{Key: key, Doc: doc, value: func(c *Config) value { return spanValue{at: at(c), within: within} }}
}

func list(key, doc string, at func(*Config) *[]string) Field {
	return Field{Key: key, Doc: doc, value: func(c *Config) value { return listValue{at: at(c)} }}
}

type textValue struct {
	at      *string
	choices []string // empty: anything
}

func (v textValue) String() string { return *v.at }

func (v textValue) Set(text string) error {
	if len(v.choices) > 0 && !slices.Contains(v.choices, text) {
		return fmt.Errorf("%q is none of %s", text, strings.Join(v.choices, ", "))
	}
	*v.at = text
	return nil
}

type countValue struct {
	at     *int
	within bounds
}

func (v countValue) String() string { return strconv.Itoa(*v.at) }

func (v countValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < v.within.least || n > v.within.most {
		return fmt.Errorf("%q is not a whole number from %d to %d", text, v.within.least, v.within.most)
	}
	*v.at = n
	return nil
}

type count32Value struct{ at *int32 }

func (v count32Value) String() string { return strconv.Itoa(int(*v.at)) }

func (v count32Value) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a whole number from 0 to %d", text, math.MaxInt32)
	}
	*v.at = int32(n)
	return nil
}

// coresValue is kept in thousandths and written in cores.
type coresValue struct{ at *int32 }

func (v coresValue) String() string {
	return strconv.FormatFloat(float64(*v.at)/1000, 'f', -1, 64)
}

func (v coresValue) Set(text string) error {
	millis, err := ParseCores(text)
	if err != nil {
		return err
	}
	*v.at = millis
	return nil
}

type sizeValue struct{ at *int64 }

func (v sizeValue) String() string { return FormatSize(*v.at) }

func (v sizeValue) Set(text string) error {
	n, err := ParseSize(text)
	if err != nil {
		return err
	}
	*v.at = n
	return nil
}

type spanValue struct {
	at     *time.Duration
	within spanBounds
}

func (v spanValue) String() string { return v.at.String() }

func (v spanValue) Set(text string) error {
	d, err := ParseSpan(text)
	if err != nil {
		return err
	}
	if d < v.within.least || d > v.within.most {
		return fmt.Errorf("%s is not between %s and %s", d, v.within.least, v.within.most)
	}
	*v.at = d
	return nil
}

// listValue is written with commas between its items.
type listValue struct{ at *[]string }

func (v listValue) String() string { return strings.Join(*v.at, ",") }

func (v listValue) Set(text string) error {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	*v.at = items
	return nil
}
