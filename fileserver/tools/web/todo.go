package web

import "github.com/sandgate/sandgate/fileserver/tools/document"

func RTF(in *document.Input, out *document.Output) error { panic("TODO") }

func Mail(in *document.Input, out *document.Output) error { panic("TODO") }

func XML(in *document.Input, out *document.Output) error { panic("TODO") }
