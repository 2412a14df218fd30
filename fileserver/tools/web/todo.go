package web

import "github.com/sandgate/sandgate/fileserver/tools/document"

func EPUB(in *document.Input, out *document.Output) error { panic("TODO") }

func HTML(in *document.Input, out *document.Output) error { panic("TODO") }

func RTF(in *document.Input, out *document.Output) error { panic("TODO") }

func Mail(in *document.Input, out *document.Output) error { panic("TODO") }

func Notebook(in *document.Input, out *document.Output) error { panic("TODO") }

func XML(in *document.Input, out *document.Output) error { panic("TODO") }
