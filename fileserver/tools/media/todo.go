package media

import "github.com/sandgate/sandgate/fileserver/tools/document"

func Image(in *document.Input, out *document.Output) error { panic("TODO") }

func Audio(in *document.Input, out *document.Output) error { panic("TODO") }
