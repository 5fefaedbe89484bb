" Colours for programs of Heed. Keywords are those of the compiler's table, which a test checks.
if exists('b:current_syntax')
  finish
endif

" The tick is a part of a name: in' is no keyword.
syntax iskeyword @,48-57,_,39
syntax keyword heedDeclaration import axis const def module part entry param
syntax keyword heedControl for in minimize per generate from until by with as
syntax keyword heedOperatorWord and or not
syntax keyword heedBoolean true false
syntax match heedNumber "\<\d\+\(\.\d*\)\?\([eE][-+]\?\d\+\)\?"
syntax match heedTwin "\<\h\w*'\+"
syntax match heedCall "\<\h\w*\ze\(\[[^][]*\]\)\?("
syntax match heedOperator "->\|==\|!=\|<=\|>=\|//\|[-+*/%^@~|<>=]"
syntax region heedString start=+"+ end=+"+ oneline
syntax match heedComment "#.*$" contains=heedTodo
syntax keyword heedTodo TODO FIXME contained
syntax match heedDefined "\(\<\%(def\|module\|entry\)\s\+\)\@<=\h\w*"

highlight default link heedDeclaration Structure
highlight default link heedControl Statement
highlight default link heedOperatorWord Operator
highlight default link heedBoolean Boolean
highlight default link heedNumber Number
highlight default link heedTwin Identifier
highlight default link heedCall Function
highlight default link heedDefined Function
highlight default link heedOperator Operator
highlight default link heedString String
highlight default link heedComment Comment
highlight default link heedTodo Todo

let b:current_syntax = 'heed'
