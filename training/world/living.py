"""The living things of the world, and what they eat: tables that ``concepts`` reads.

emoji | name | natural color, "+" if it may be recolored | synonyms | home, "^" if it floats | way its
art faces, of each art set where they differ
"""

LIVING = {
    "animal": """
        🐶 | dog | brown | puppy, doggy
        🐱 | cat | + yellow | kitten, kitty
        🐰 | rabbit | white | bunny, hare | meadow
        🦊 | fox | orange | | forest
        🐻 | bear | brown | grizzly, grizzly bear | forest
        🐼 | panda | | panda bear
        🐯 | tiger | orange | | forest
        🦁 | lion | |
        🐮 | cow | | cattle | farm
        🐷 | pig | + pink | piglet | farm
        🐸 | frog | + green | toad | pond
        🐵 | monkey | brown | ape, chimpanzee | forest
        🐔 | chicken | white | hen | farm | left
        🐧 | penguin | | | snow
        🦆 | duck | | mallard | pond | left
        🦉 | owl | brown | | night
        🐎 | horse | + brown | pony, stallion | meadow | left
        🦄 | unicorn | | | | left
        🐝 | bee | | honeybee, bumblebee | ^ garden | left
        🦋 | butterfly | + | | ^ garden
        🐌 | snail | brown | | garden | left
        🐞 | ladybug | + red | ladybird | garden
        🐢 | turtle | + green | tortoise | underwater | left
        🦖 | dinosaur | + green | t-rex, tyrannosaurus | volcano | left
        🐙 | octopus | + | | underwater
        🦀 | crab | + | | beach
        🐠 | fish | + blue | tropical fish | ^ underwater | left
        🐳 | whale | blue | | ^ underwater | left
        🦈 | shark | gray | | ^ underwater | left
        🐘 | elephant | gray | | | left
        🦒 | giraffe | | | | left
        🐑 | sheep | white | lamb | farm | left
        🦩 | flamingo | pink | | pond | left
        🐺 | wolf | gray | | forest
        🦝 | raccoon | gray | | forest
        🦓 | zebra | | | | left
        🦌 | deer | brown | stag, reindeer | forest | left
        🐐 | goat | brown | billy goat | farm | left
        🐪 | camel | | dromedary | desert | left
        🦙 | llama | white | alpaca | mountains | left
        🦏 | rhinoceros | | rhino | | left
        🦛 | hippopotamus | | hippo | pond | left
        🐭 | mouse | gray | rat
        🐿 | squirrel | | chipmunk | forest | left
        🦔 | hedgehog | brown | porcupine | garden | left
        🦇 | bat | brown | | ^ night
        🐨 | koala | gray | koala bear
        🦘 | kangaroo | | wallaby | desert | left
        🐓 | rooster | | cockerel | farm | left
        🐤 | chick | yellow | baby chicken | farm | left
        🐦 | bird | + | songbird, sparrow | garden | left
        🦅 | eagle | brown | hawk, falcon | ^ sky | left
        🦢 | swan | white | goose | pond | left
        🦚 | peacock | | | garden
        🦜 | parrot | | macaw | | left
        🐊 | crocodile | + green | alligator | pond
        🐍 | snake | + green | serpent | desert | left
        🐬 | dolphin | + blue | porpoise | ^ underwater | left
        🪼 | jellyfish | + blue | | ^ underwater
        🐚 | seashell | | shell | beach
        🕷 | spider | black | tarantula
        🐻‍❄️ | polar bear | white | | snow
    """,
    "food": """
        🍎 | apple | + red | | garden
        🍌 | banana | yellow |
        🍉 | watermelon | | slice of watermelon
        🍇 | grapes | + purple | bunch of grapes
        🍓 | strawberry | red |
        🍍 | pineapple | |
        🥕 | carrot | orange |
        🍄 | mushroom | + red | toadstool | forest
        🍔 | hamburger | | burger, cheeseburger | kitchen
        🍟 | french fries | | fries, chips | kitchen
        🍕 | pizza | | slice of pizza | kitchen
        🌭 | hot dog | |
        🍩 | donut | brown | doughnut | kitchen
        🎂 | birthday cake | | cake | party
        🧁 | cupcake | | muffin | party
        🍦 | ice cream | | ice cream cone | beach
        ☕ | cup of coffee | | coffee, espresso | kitchen
        🍋 | lemon | yellow |
        🍐 | pear | green |
        🍑 | peach | | apricot
        🍒 | cherries | + red | cherry
        🥝 | kiwi | green | kiwi fruit
        🍅 | tomato | red | | kitchen
        🥑 | avocado | green |
        🍆 | eggplant | + purple | aubergine
        🥔 | potato | brown |
        🌽 | corn | yellow | ear of corn, maize | farm
        🌶 | chili pepper | + red | chili, hot pepper
        🥦 | broccoli | green |
        🧅 | onion | |
        🍞 | bread | brown | loaf of bread, toast | kitchen
        🥐 | croissant | | | kitchen
        🥨 | pretzel | brown |
        🥞 | pancakes | | stack of pancakes, pancake | kitchen
        🧀 | cheese | yellow | piece of cheese
        🥪 | sandwich | |
        🌮 | taco | |
        🥚 | egg | |
        🍳 | fried egg | | frying pan | kitchen
        🍿 | popcorn | | bucket of popcorn | party
        🍣 | sushi | |
        🍪 | cookie | brown | biscuit
        🍰 | slice of cake | | piece of cake, shortcake | party
        🍫 | chocolate bar | brown | chocolate, bar of chocolate
        🍭 | lollipop | | lolly | party
        🫖 | teapot | + red | tea | kitchen
        🍷 | glass of wine | | wine, red wine
        🍺 | beer | | mug of beer, glass of beer
    """,
    "nature": """
        🌳 | tree | green | oak tree | garden
        🌴 | palm tree | | palm | beach
        🌵 | cactus | green | | desert
        🌹 | rose | + red | | garden
        🌻 | sunflower | | | farm
        🌼 | flower | | daisy | meadow
        🎃 | pumpkin | orange | jack-o'-lantern | autumn
        🌈 | rainbow | | | ^ sky
        ☀ | sun | yellow | sunshine | ^
        🌙 | moon | yellow | crescent moon | ^ night
        ⭐ | star | + yellow | | ^ night
        🔥 | fire | orange | flame, campfire | night
        🌍 | planet earth | | earth, globe | ^ space
        ⛄ | snowman | | | snow
        🌲 | pine tree | green | fir tree, fir | mountains
        🎄 | christmas tree | green | decorated tree | snow
        🌷 | tulip | + pink | | garden
        🌸 | cherry blossom | + pink | blossom | garden
        🍀 | clover | green | four-leaf clover, shamrock | meadow
        🍁 | maple leaf | | leaf | autumn
        🪴 | potted plant | green | houseplant, plant | living room
        🪨 | rock | gray | stone, boulder | mountains
        ☁ | cloud | white | | ^ sky
        🌧 | rain cloud | | storm cloud, rainy cloud | ^ sky
        ⚡ | lightning bolt | | lightning, thunderbolt | ^ night
        ❄ | snowflake | blue | flake | ^ snow
        🌊 | wave | blue | ocean wave | beach
        🪐 | saturn | | ringed planet, planet | ^ space
        🪶 | feather | brown | quill | ^
        🦴 | bone | white | dog bone
    """,
    "person": """
        👶 | baby | | infant
        👦 | boy | | son
        👧 | girl | | daughter
        👨 | man | | guy, father
        👩 | woman | | lady, mother
        👴 | old man | | grandfather, grandpa
        👵 | old woman | | grandmother, grandma
        🧑‍⚕️ | doctor | | nurse, physician
        🧑‍🏫 | teacher | | professor
        🧑‍🌾 | farmer | | gardener | farm
        🧑‍🍳 | cook | | chef, baker | kitchen
        🧑‍🔬 | scientist | | chemist, researcher
        🧑‍🎤 | singer | | rock star, pop star | stage
        🧑‍🎨 | artist | | painter
        🧑‍✈️ | pilot | | captain
        🧑‍🚀 | astronaut | | cosmonaut, spaceman | space
        🧑‍🚒 | firefighter | | fireman
        👮 | police officer | | policeman, policewoman, cop | city
        🕵 | detective | | spy, sherlock
        💂 | guard | | royal guard, soldier
        🥷 | ninja | | assassin | night
        👷 | builder | | construction worker
        🤴 | prince | | king | castle hall
        👸 | princess | | queen | castle hall
        🎅 | santa claus | | santa, father christmas | snow
        👰‍♀️ | bride | |
        💃 | dancer | | dancing woman | stage
        🏄 | surfer | | | beach
        ⛷ | skier | | | snow | left
        🚴 | cyclist | | bicyclist, biker | road | left
        🏃 | runner | | jogger | road | left
    """,
    "character": """
        🤖 | robot | | android, bot | space
        👽 | alien | | extraterrestrial | space
        👻 | ghost | white | spirit, phantom | ^ night
        🐉 | dragon | + green | | castle hall | left
        🧙 | wizard | | magician, sorcerer | castle hall
        😀 | smiley | yellow | smiley face, happy face | ^
        😍 | face with heart eyes | | smiley with heart eyes, loving face | ^
        😎 | cool face | | face with sunglasses, cool smiley | ^
        😡 | angry face | red | angry smiley, mad face | ^
        🤡 | clown | | clown face, joker | ^ party
        😂 | laughing face | | crying laughing face, laughing smiley | ^
        😢 | crying face | | crying smiley | ^
        🙁 | sad face | yellow | sad smiley, unhappy face | ^
        😴 | sleeping face | | sleepy face, sleeping smiley | ^ night
        🤔 | thinking face | | thinking smiley | ^
        😱 | screaming face | | scared face | ^
        😮 | surprised face | yellow | shocked face | ^
        😉 | winking face | yellow | winking smiley | ^
        🥳 | party face | | partying face | ^ party
        🤓 | nerd face | | nerd, face with glasses | ^
        🤢 | sick face | green | nauseated face | ^
        🥶 | freezing face | | cold face | ^ snow
        🤯 | exploding head | | mind-blown face | ^
        🤠 | cowboy | | cowgirl, sheriff | ^ desert
        🦸 | superhero | | superman, hero | city
        🧚 | fairy | | pixie | ^ garden
        🧛 | vampire | | dracula | night
        🧜‍♀️ | mermaid | | siren | underwater
        🧟 | zombie | | undead | night
        👼 | angel | | cherub | ^ sky
        💀 | skull | white | skeleton
        😈 | devil | purple | imp | ^ volcano
        👾 | space invader | purple | video game monster | ^ space
        💩 | poop | brown | poo
    """,
}
