"""The things of the world that people make: tables that ``concepts`` reads, as in ``living``."""

MADE = {
    "vehicle": """
        🚗 | car | + red | automobile | road | left
        🚌 | bus | orange | coach, school bus | city | left
        🚚 | truck | + | lorry, delivery truck | road | left
        🚒 | fire truck | red | fire engine | city | left
        🚜 | tractor | + green | | farm | left
        🚲 | bicycle | + | bike | road | left
        🚂 | train | | steam train, locomotive | | left
        ✈ | airplane | | plane, jet | ^ sky | right
        🚁 | helicopter | + orange | chopper | ^ sky | left
        🚀 | rocket | | spaceship, spacecraft | ^ space | right
        🛸 | flying saucer | gray | UFO | ^ space
        ⛵ | sailboat | | sailing boat, boat | beach
        🚕 | taxi | + yellow | cab | city | left
        🚓 | police car | black | cop car | city | left
        🚑 | ambulance | | | city | left
        🏎 | race car | + red | racing car, formula one car | road | left
        🚙 | jeep | + blue | suv | road | left
        🏍 | motorcycle | + red | motorbike | road | left
        🛵 | scooter | + | moped, vespa | city | left
        🛹 | skateboard | | board | road
        🚤 | speedboat | orange | motorboat | beach | left
        🚢 | ship | | cruise ship, ocean liner | beach
        🛶 | canoe | brown | rowing boat, kayak | pond
        🛰 | satellite | | space probe | ^ space
        🪂 | parachute | | paraglider | ^ sky
    """,
    "instrument": """
        🎸 | guitar | + | electric guitar | stage
        🔔 | bell | + yellow |
        🎺 | trumpet | yellow | | stage
        🎷 | saxophone | yellow | sax | stage
        🎻 | violin | | fiddle, cello | stage
        🥁 | drum | | drums | stage
        🎹 | piano | | keyboard | stage
        🪗 | accordion | + red | | stage
        🎤 | microphone | | mic | stage
        🎧 | headphones | | earphones
    """,
    "sport": """
        ⚽ | soccer ball | | football | stadium
        🏀 | basketball | orange | | stadium
        🏆 | trophy | yellow | golden trophy | stadium
        ⚾ | baseball | white | | stadium
        🎾 | tennis racket | | tennis racquet, tennis | stadium
        🏐 | volleyball | white | | beach
        🏈 | american football | brown | rugby ball | stadium
        🥊 | boxing glove | + red | boxing mitt
        🎯 | target | | dartboard, bullseye
        🪁 | kite | | | ^ sky
        🎱 | billiard ball | black | pool ball, eight ball
        🛼 | roller skate | | rollerblade | road | right
        🏅 | medal | | gold medal | stadium
        🎮 | game controller | | gamepad, video game | living room
        🎲 | dice | white | die
        🧩 | puzzle piece | + green | jigsaw piece
        ♟ | chess pawn | black | chess piece, pawn
        🪄 | magic wand | | wand
        🔮 | crystal ball | purple | magic ball
        🎨 | palette | | paint palette, artist's palette
    """,
    "clothes": """
        👗 | dress | + blue | gown
        🎩 | top hat | black | hat
        👑 | crown | yellow | golden crown, tiara | castle hall
        👕 | t-shirt | + | shirt, tee
        👖 | jeans | + blue | trousers, pants
        🧥 | coat | + brown | jacket, raincoat
        🧣 | scarf | + red | shawl
        🧤 | gloves | + | mittens
        🧦 | socks | | stockings
        👜 | handbag | brown | purse, bag
        🎒 | backpack | + red | rucksack, school bag
        🧳 | suitcase | + blue | luggage
        👞 | shoe | brown | leather shoe | | right
        👟 | sneaker | | running shoe, trainer | | right
        👠 | high heel | + red | high-heeled shoe, stiletto | | right
        👢 | boot | + | cowboy boot | | right
        👒 | sun hat | | straw hat | beach
        🧢 | cap | + blue | baseball cap
        👓 | glasses | | spectacles, eyeglasses
        🕶 | sunglasses | black | shades | beach
        💍 | ring | | diamond ring, wedding ring
        💄 | lipstick | + red |
        🎀 | ribbon | + | hair bow, bow tie
    """,
    "home": """
        🛏 | bed | blue | | living room
        🛋 | couch | + blue | sofa | living room
        🪑 | chair | brown | stool | living room
        🚪 | door | brown |
        🪞 | mirror | | looking glass | living room
        🪟 | window | |
        🖼 | painting | | framed picture, picture frame | living room
        📺 | television | | tv | living room
        🕯 | candle | | | castle hall
        💡 | light bulb | yellow | bulb, lamp | ^
        🏮 | lantern | red | paper lantern
        🚽 | toilet | | loo
        🛁 | bathtub | | bath, tub
        🧺 | basket | brown | picnic basket
        🪣 | bucket | + blue | pail
        🧹 | broom | | broomstick
        🏺 | vase | | amphora, urn
        🥄 | spoon | gray | | kitchen
        🔪 | knife | | kitchen knife, blade | kitchen
    """,
    "tool": """
        🔨 | hammer | |
        🪓 | axe | | hatchet | forest
        🔧 | wrench | | spanner
        🪛 | screwdriver | + red |
        ⚙ | gear | | cogwheel, cog
        🧲 | magnet | + red | horseshoe magnet
        🪜 | ladder | brown | stepladder
        ✂ | scissors | + red | pair of scissors
        🗡 | sword | | dagger | castle hall
        🛡 | shield | | | castle hall
        🏹 | bow | brown | longbow | forest
        ✏ | pencil | orange |
        🖌 | paintbrush | + | brush
        🔍 | magnifying glass | | magnifier
        🔭 | telescope | | spyglass | night
        🔬 | microscope | |
        🔦 | flashlight | | torch | night
        ⚓ | anchor | | | beach
        🧭 | compass | |
        🔒 | padlock | yellow | lock
        🧶 | yarn | + | ball of yarn, wool | living room
    """,
    "building": """
        🏠 | house | | home, cottage | meadow
        🏰 | castle | | fairytale castle, palace | mountains
        🏫 | school | |
        ⛪ | church | | chapel | meadow
        🕌 | mosque | | | desert
        🏯 | pagoda | | japanese castle | mountains
        🏛 | temple | | greek temple, museum
        ⛲ | fountain | | | garden
        ⛺ | tent | + | camping tent | forest
        🎡 | ferris wheel | | big wheel
        🎪 | circus tent | | circus | party
        🗼 | tower | red | eiffel tower
        🛖 | hut | brown | cabin | forest
        🏚 | haunted house | brown | abandoned house, old house | night
        🏢 | office building | gray | skyscraper | city
        🚦 | traffic light | | stoplight | road
        🏝 | island | | desert island
    """,
    "object": """
        🎈 | balloon | + red | | ^ sky
        🎁 | gift | + yellow | present | party
        💎 | diamond | + blue | gem, jewel
        🔑 | key | yellow | golden key
        📷 | camera | | photo camera
        ☂ | umbrella | + purple | parasol
        ⏰ | alarm clock | + red | clock
        🧸 | teddy bear | + | teddy | living room
        ❤ | heart | + red | love heart | ^
        📚 | books | | stack of books, pile of books | living room
        📕 | book | + red | novel
        💻 | laptop | | computer, notebook
        📱 | phone | | smartphone, cell phone, mobile
        ☎ | telephone | + red | landline phone
        🎥 | movie camera | | film camera
        ✉ | envelope | white | letter, mail
        📦 | box | brown | cardboard box, package, parcel
        💰 | money bag | yellow | bag of money, money
        🪙 | coin | yellow | gold coin
        💣 | bomb | black |
        💥 | explosion | | blast | ^
        🗺 | map | | world map
        ⏳ | hourglass | | sandglass
    """,
    "body": """
        👁 | eye | | eyeball | ^
        🧠 | brain | pink |
        👄 | lips | | mouth | ^
        👍 | thumbs up | yellow | thumb | ^
        ✋ | hand | yellow | raised hand | ^
    """,
}
